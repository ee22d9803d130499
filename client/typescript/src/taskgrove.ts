/** A client of one Taskgrove server. */

import { randomUUID } from "node:crypto";

import {
  type CallOptions,
  type ClientUnaryCall,
  InterceptingCall,
  type Interceptor,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";

import type { Event } from "../generated/taskgrove/v1/event.js";
import { EventServiceClient } from "../generated/taskgrove/v1/event_service.js";
import { ServerServiceClient } from "../generated/taskgrove/v1/server_service.js";
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
import { channelOf, type Connection } from "./connection.js";
import { translated } from "./errors.js";
import { Feed } from "./feed.js";
import { follow } from "./resuming.js";
import { FollowedTask, type WatchEvent } from "./watching.js";

/** Milliseconds within which a call that does not stream has to be answered. */
const TIMEOUT = 30_000;

/** The same for calls for which git works in a repository. */
const WORK_TIMEOUT = 600_000;

/** Holds one connection. What has no method here is called on the stubs, through `call`. */
export class Taskgrove {
  readonly tasks: TaskServiceClient;
  readonly taskLists: TaskListServiceClient;
  readonly events: EventServiceClient;
  readonly worktrees: WorktreeServiceClient;
  readonly servers: ServerServiceClient;

  /** Connects with the first call. Throws when a token would go to another machine unencrypted. */
  constructor(connection: Connection) {
    const { target, token } = connection;
    const [credentials, channelOptions] = channelOf(connection);
    const options = { ...channelOptions, interceptors: [authorizing(token)] };
    // Stubs with one target, the same credentials and the same options share a connection.
    this.tasks = new TaskServiceClient(target, credentials, options);
    this.taskLists = new TaskListServiceClient(target, credentials, options);
    this.events = new EventServiceClient(target, credentials, options);
    this.worktrees = new WorktreeServiceClient(target, credentials, options);
    this.servers = new ServerServiceClient(target, credentials, options);
  }

  /** Creates a task list. */
  async createTaskList(request: DeepPartial<CreateTaskListRequest>): Promise<TaskList> {
    const full = CreateTaskListRequest.fromPartial(request);
    return present((await call(this.taskLists, this.taskLists.createTaskList, full)).taskList);
  }

  /** Adds a task to the queue. When this resolves, the task is on the server's disk and will be run. */
  async enqueue(request: DeepPartial<EnqueueRequest>): Promise<Task> {
    const full = EnqueueRequest.fromPartial(request);
    return present((await call(this.tasks, this.tasks.enqueue, full)).task);
  }

  /** Takes a resting task back to the queue; its next run resumes the session of its last one. */
  async continueTask(taskId: string, prompt: string): Promise<Task> {
    const request = ContinueRequest.create({ taskId, prompt });
    return present((await call(this.tasks, this.tasks.continue, request)).task);
  }

  /** Cancels a task; `outcome` tells what that did. */
  async cancel(taskId: string): Promise<CancelResponse> {
    return call(this.tasks, this.tasks.cancel, CancelRequest.create({ taskId }));
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
    this.servers.close();
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

/**
 * Adds the token to every call, a deadline to those that do not stream, and a request id to those that change something
 * and have none: gRPC repeats them.
 */
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
      sendMessage(message: { requestId?: string }, next) {
        next(message.requestId === "" ? { ...message, requestId: randomUUID() } : message);
      },
    });
  };
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("The server left out what was asked for.");
  return value;
}
