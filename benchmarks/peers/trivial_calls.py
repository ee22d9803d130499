"""Answers GetTask with a task that is always the same: `python -m benchmarks.peers.trivial_calls TARGET`.

That is what grpc.aio and the conversion of messages cost, with no work behind them.
"""

from __future__ import annotations

import asyncio
import sys

import grpc

from taskgrove.v1.task_pb2 import Task
from taskgrove.v1.task_service_pb2 import GetTaskRequest, GetTaskResponse

TASK = Task(id="aaaaaaaaaaaa", task_list_id="bbbbbbbbbbbb", title="A small task", state=Task.STATE_QUEUED)


async def get_task(request: GetTaskRequest, context: object) -> GetTaskResponse:
    """Returns the task."""
    del request, context
    return GetTaskResponse(task=TASK)


async def serve(target: str) -> None:
    """Serves until the process is ended."""
    handler = grpc.unary_unary_rpc_method_handler(
        get_task,
        request_deserializer=GetTaskRequest.FromString,
        response_serializer=GetTaskResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("taskgrove.v1.TaskService", {"GetTask": handler})]
    )
    server.add_insecure_port(target)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
