/** A client of one Taskgrove server. */

import { randomUUID } from "node:crypto";

import {
  type CallOptions,
  type ChannelOptions,
  type ClientOptions,
  type ClientUnaryCall,
  credentials,
  InterceptingCall,
  type Interceptor,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";

import type { Event } from "../generated/taskgrove/v1/event.js";
import { EventServiceClient } from "../generated/taskgrove/v1/event_service.js";
import type { Task } from "../generated/taskgrove/v1/task.js";
import type { TaskList } from "../generated/taskgrove/v1/task_list.js";
import { CreateTaskListRequest, TaskListServiceClient } from "../generated/taskgrove/v1/task_list_service.js";
import {
  CancelRequest,
  type CancelResponse,
  ContinueRequest,
  type DeepPartial,
  EnqueueRequest,
  GetTaskRequest,
  TaskServiceClient,
} from "../generated/taskgrove/v1/task_service.js";
import { WorktreeServiceClient } from "../generated/taskgrove/v1/worktree_service.js";
import { translated } from "./errors.js";
import { Feed } from "./feed.js";
import { follow } from "./resuming.js";
import { FollowedTask, type WatchEvent } from "./watching.js";

/** Milliseconds within which a call that does not stream has to be answered. */
const TIMEOUT = 30_000;

/** The same for calls for which git works in a repository. */
const WORK_TIMEOUT = 600_000;

/** Repeated by gRPC itself on UNAVAILABLE: calls that read, or that carry a request id. Watches resume by themselves. */
const REPEATED = [
  ...["Enqueue", "Continue", "Cancel", "GetTask", "ListTasks", "ListRuns"].map((method) => ({
    service: "taskgrove.v1.TaskService",
    method,
  })),
  ...["CreateTaskList", "GetTaskList", "ListTaskLists"].map((method) => ({
    service: "taskgrove.v1.TaskListService",
    method,
  })),
];

const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.service_config": JSON.stringify({
    methodConfig: [
      {
        name: REPEATED,
        retryPolicy: {
          maxAttempts: 5,
          initialBackoff: "0.1s",
          maxBackoff: "1s",
          backoffMultiplier: 2,
          retryableStatusCodes: ["UNAVAILABLE"],
        },
      },
    ],
  }),
  // Finds a peer that is gone without a word within 45 s. The server permits a ping every 10 s.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 15_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  // A proxy from the environment has no business with a local service, nor with its token.
  "grpc.enable_http_proxy": 0,
};

/** Holds one connection. What has no method here is called on the stubs, through `call`. */
export class Taskgrove {
  readonly tasks: TaskServiceClient;
  readonly taskLists: TaskListServiceClient;
  readonly events: EventServiceClient;
  readonly worktrees: WorktreeServiceClient;

  /**
   * `target` is an address in gRPC's notation, such as "unix:/run/user/1000/taskgroved.sock" or "localhost:50051".
   * The Unix socket needs no token.
   */
  constructor(target: string, token?: string) {
    const options: ClientOptions = { ...CHANNEL_OPTIONS, interceptors: [authorizing(token)] };
    // The server serves on this machine only, so there is nothing to encrypt. Stubs of one target share a connection.
    this.tasks = new TaskServiceClient(target, credentials.createInsecure(), options);
    this.taskLists = new TaskListServiceClient(target, credentials.createInsecure(), options);
    this.events = new EventServiceClient(target, credentials.createInsecure(), options);
    this.worktrees = new WorktreeServiceClient(target, credentials.createInsecure(), options);
  }

  /** Creates a task list. */
  async createTaskList(request: DeepPartial<CreateTaskListRequest>): Promise<TaskList> {
    const full = CreateTaskListRequest.fromPartial({ requestId: randomUUID(), ...request });
    return present((await call(this.taskLists, this.taskLists.createTaskList, full)).taskList);
  }

  /** Adds a task to the queue. When this resolves, the task is on the server's disk and will be run. */
  async enqueue(request: DeepPartial<EnqueueRequest>): Promise<Task> {
    const full = EnqueueRequest.fromPartial({ requestId: randomUUID(), ...request });
    return present((await call(this.tasks, this.tasks.enqueue, full)).task);
  }

  /** Takes a resting task back to the queue; its next run resumes the session of its last one. */
  async continueTask(taskId: string, prompt: string): Promise<Task> {
    const request = ContinueRequest.create({ taskId, prompt, requestId: randomUUID() });
    return present((await call(this.tasks, this.tasks.continue, request)).task);
  }

  /** Cancels a task; `outcome` tells what that did. */
  async cancel(taskId: string): Promise<CancelResponse> {
    return call(this.tasks, this.tasks.cancel, CancelRequest.create({ taskId, requestId: randomUUID() }));
  }

  /** Returns a task. */
  async getTask(taskId: string): Promise<Task> {
    return present((await call(this.tasks, this.tasks.getTask, GetTaskRequest.create({ taskId }))).task);
  }

  /** Follows a task until it rests: every line after `afterLine`, once and in order, over lost connections. */
  watchTask(taskId: string, afterLine = 0n): AsyncGenerator<WatchEvent, void, undefined> {
    return follow((request) => this.tasks.watchTask(request), new FollowedTask(taskId, afterLine));
  }

  /** Follows what happens to all tasks, without end. 0n means from the oldest event, undefined from now on. */
  watchEvents(afterSequence?: bigint): AsyncGenerator<Event, void, undefined> {
    return follow((request) => this.events.watchEvents(request), new Feed(afterSequence));
  }

  /** Closes the connection. */
  close(): void {
    this.tasks.close();
    this.taskLists.close();
    this.events.close();
    this.worktrees.close();
  }
}

/** A method of a stub, in the form that takes everything: of several, the compiler infers types from the last. */
type Method<Stub, Request, Response> = (
  this: Stub,
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  done: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** Makes one call of a stub: `await call(stub, stub.getTask, request)`. Rejects with TaskgroveError. */
export function call<Stub, Request, Response>(
  stub: Stub,
  method: Method<Stub, Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(stub, request, new Metadata(), {}, (error, response) =>
      error ? reject(translated(error)) : resolve(response),
    );
  });
}

/** Adds the token to every call, and a deadline to those that do not stream. */
function authorizing(token: string | undefined): Interceptor {
  return (options, nextCall) => {
    const { path, responseStream } = options.method_definition;
    const works = path.startsWith("/taskgrove.v1.WorktreeService/") || path === "/taskgrove.v1.TaskService/DeleteTask";
    const deadline = responseStream ? {} : { deadline: Date.now() + (works ? WORK_TIMEOUT : TIMEOUT) };
    return new InterceptingCall(nextCall({ ...options, ...deadline }), {
      start(metadata, listener, next) {
        if (token) metadata.set("authorization", `Bearer ${token}`);
        next(metadata, listener);
      },
    });
  };
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("The server left out what was asked for.");
  return value;
}
