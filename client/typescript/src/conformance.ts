/** Runs one scenario of client/conformance/README.md, and prints what it saw. */

import { createHash } from "node:crypto";

import { status } from "@grpc/grpc-js";

import { ChangedFile_Kind } from "../generated/taskgrove/v1/change.js";
import { Event_Kind } from "../generated/taskgrove/v1/event.js";
import { Task_State } from "../generated/taskgrove/v1/task.js";
import { DeleteTaskListRequest, UpdateTaskListRequest } from "../generated/taskgrove/v1/task_list_service.js";
import { CancelResponse_Outcome, ListTasksRequest } from "../generated/taskgrove/v1/task_service.js";
import { DiffWorktreeRequest, type DiffWorktreeResponse } from "../generated/taskgrove/v1/worktree_service.js";
import { type Connection, ofEnvironment } from "./connection.js";
import { TaskgroveError } from "./errors.js";
import type { Line } from "./lines.js";
import { call, Taskgrove } from "./taskgrove.js";
import type { WatchEvent } from "./watching.js";

type Seen = Record<string, unknown>;

const connection = ofEnvironment();
const { target, token } = connection;
const taskgrove = new Taskgrove(connection);
const parameters = JSON.parse(process.env.TASKGROVE_PARAMETERS ?? "{}") as Record<string, unknown>;

const scenarios: Record<string, () => Promise<Seen>> = {
  async enqueue() {
    const list = await taskgrove.createTaskList({
      title: text("list_title"),
      defaults: { agent: "command", command: { form: { $case: "shell", shell: text("command") } } },
    });
    const request = {
      taskListId: list.id,
      title: text("title"),
      description: text("description"),
      subtasks: texts("subtasks").map((title) => ({ title })),
      requestId: text("request_id"),
    };
    const first = await taskgrove.enqueue(request);
    const second = await taskgrove.enqueue(request);
    return {
      task_list_id: list.id,
      task_ids: [first.id, second.id],
      reused: await refusal(taskgrove.enqueue({ ...request, title: "Another" })),
    };
  },

  async repeat() {
    const wanted = { taskListId: text("task_list_id"), title: text("title"), etag: text("etag") };
    const rename = async (requestId: string) => {
      const request = UpdateTaskListRequest.fromPartial({ ...wanted, requestId });
      return (await call(taskgrove.taskLists, taskgrove.taskLists.updateTaskList, request)).taskList?.title;
    };
    const titles = [await rename(text("request_id")), await rename(text("request_id"))];
    const stale = await refusal(rename(""));
    const deletion = DeleteTaskListRequest.create({ taskListId: text("task_list_id") });
    await call(taskgrove.taskLists, taskgrove.taskLists.deleteTaskList, deletion);
    return { titles, stale };
  },

  async watch() {
    return summary(taskgrove.watchTask(text("task_id"), BigInt(integer("after_line"))), integer("after_line"));
  },

  async continue() {
    const before = await summary(taskgrove.watchTask(text("task_id")), 0);
    await taskgrove.continueTask(text("task_id"), text("prompt"));
    const last = before.last_line as number;
    return { before, after: await summary(taskgrove.watchTask(text("task_id"), BigInt(last)), last) };
  },

  async cancel() {
    const [taskListId, outcomes, states] = [text("task_list_id"), {} as Seen, {} as Seen];
    const running = await taskgrove.enqueue({ taskListId, title: "Running" });
    for await (const event of taskgrove.watchTask(running.id)) {
      if (event.kind === "line" && outcomes.running === undefined) {
        const waiting = await taskgrove.enqueue({ taskListId, title: "Waiting" });
        const cancelled = await taskgrove.cancel(waiting.id);
        outcomes.waiting = CancelResponse_Outcome[cancelled.outcome];
        states.waiting = Task_State[cancelled.task?.state ?? 0];
        outcomes.running = CancelResponse_Outcome[(await taskgrove.cancel(running.id)).outcome];
      } else if (event.kind === "rested") {
        states.running = Task_State[event.task.state];
      }
    }
    outcomes.rested = CancelResponse_Outcome[(await taskgrove.cancel(running.id)).outcome];
    return { outcomes, states };
  },

  async errors() {
    const stranger = new Taskgrove({ target, token: text("wrong_token") });
    const lost = new Taskgrove({ target: text("dead_target") });
    try {
      return {
        unknown_task: await refusal(taskgrove.getTask(text("unknown_task_id"))),
        unknown_watch: await refusal(summary(taskgrove.watchTask(text("unknown_task_id")), 0)),
        empty_title: await refusal(taskgrove.enqueue({ taskListId: text("task_list_id"), title: "" })),
        active_task: await refusal(taskgrove.continueTask(text("active_task_id"), "Go on.")),
        wrong_token: await refusal(stranger.getTask(text("active_task_id"))),
        no_server: await refusal(lost.getTask(text("active_task_id"))),
      };
    } finally {
      stranger.close();
      lost.close();
    }
  },

  async paging() {
    const request = ListTasksRequest.create({ taskListId: text("task_list_id"), pageSize: integer("page_size") });
    const taskIds: string[] = [];
    do {
      const page = await call(taskgrove.tasks, taskgrove.tasks.listTasks, request);
      taskIds.push(...page.tasks.map((task) => task.id));
      request.pageToken = page.nextPageToken;
    } while (request.pageToken);
    request.pageToken = text("page_token");
    return {
      task_ids: taskIds,
      made_up_token: await refusal(call(taskgrove.tasks, taskgrove.tasks.listTasks, request)),
    };
  },

  async feed() {
    const sequences: bigint[] = [];
    const kinds: (string | undefined)[] = [];
    for await (const event of taskgrove.watchEvents(0n)) {
      sequences.push(event.sequence);
      if (event.taskId === text("task_id")) {
        kinds.push(Event_Kind[event.kind]);
        if (event.kind === Event_Kind.KIND_TASK_FINISHED) break;
      }
    }
    const first = sequences[0] ?? 0n;
    return {
      first_sequence: Number(first),
      events: sequences.length,
      dense: sequences.every((sequence, index) => sequence === first + BigInt(index)),
      kinds,
    };
  },

  async diff() {
    const request = DiffWorktreeRequest.create({ taskId: text("task_id") });
    const digest = createHash("sha256");
    const files: Seen[] = [];
    let [commits, bytes, ended]: [Seen, number, boolean] = [{}, 0, false];
    const messages: AsyncIterable<DiffWorktreeResponse> = taskgrove.worktrees.diffWorktree(request);
    for await (const { message } of messages) {
      ended = message?.$case === "end";
      switch (message?.$case) {
        case "summary":
          commits = { base_commit: message.summary.baseCommit, head_commit: message.summary.headCommit };
          break;
        case "file": {
          const { path, kind, insertions, deletions } = message.file;
          files.push({ path, kind: ChangedFile_Kind[kind], insertions, deletions });
          break;
        }
        case "patch":
          digest.update(message.patch.data);
          bytes += message.patch.data.length;
          break;
        default: // The end, or a message newer than this client.
      }
    }
    return { ...commits, files, bytes, sha256: digest.digest("hex"), ended };
  },

  async tls() {
    const unencrypted = new Taskgrove({ target, token });
    try {
      return {
        watch: await summary(taskgrove.watchTask(text("task_id")), 0),
        unencrypted: await refusal(unencrypted.getTask(text("task_id"))),
        refused_targets: texts("targets").filter((other) => !isTaken({ target: other, token })),
      };
    } finally {
      unencrypted.close();
    }
  },
};

/** Tells whether a client can be made; it calls nothing. */
function isTaken(connection: Connection): boolean {
  try {
    new Taskgrove(connection).close();
    return true;
  } catch {
    return false;
  }
}

/** Describes the lines of a watch, which began after line `afterLine`, and the task at its end. */
async function summary(watch: AsyncGenerator<WatchEvent>, afterLine: number): Promise<Seen> {
  const digest = createHash("sha256");
  const runs = new Set<number>();
  let [last, bytes, longest, dense] = [BigInt(afterLine), 0, 0, true];
  let state: string | undefined;
  const take = ({ number, runNumber, data }: Line) => {
    dense &&= number === last + 1n;
    last = number;
    digest.update(data);
    bytes += data.length;
    longest = Math.max(longest, data.length);
    runs.add(runNumber);
  };
  for await (const event of watch) {
    if (event.kind === "line") take(event.line);
    if (event.kind === "rested") state = Task_State[event.task.state];
  }
  return { last_line: Number(last), dense, bytes, longest, sha256: digest.digest("hex"), runs: [...runs], state };
}

/** Describes how a call is refused. */
async function refusal(promise: Promise<unknown>): Promise<Seen> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof TaskgroveError)) throw error;
    return {
      code: status[error.code],
      reason: error.reason ?? null,
      metadata: error.metadata,
      violations: error.violations.map(({ field, description }) => [field, description]),
    };
  }
  throw new Error("A call succeeded that had to be refused.");
}

function parameter<T>(name: string, holds: (value: unknown) => value is T): T {
  const value = parameters[name];
  if (!holds(value)) throw new Error(`The parameter ${name} is missing, or of another type.`);
  return value;
}

function text(name: string): string {
  return parameter(name, (value) => typeof value === "string");
}

function texts(name: string): string[] {
  return parameter(name, (value) => Array.isArray(value));
}

function integer(name: string): number {
  return parameter(name, (value) => typeof value === "number");
}

const scenario = scenarios[process.argv[2] ?? ""];
if (scenario === undefined) throw new Error(`The scenarios are: ${Object.keys(scenarios).join(", ")}`);
try {
  console.log(JSON.stringify(await scenario()));
} finally {
  taskgrove.close();
}
