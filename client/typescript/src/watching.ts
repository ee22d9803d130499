/** What a watch of a task shows. */

import type { Task } from "../generated/taskgrove/v1/task.js";
import { WatchTaskRequest, type WatchTaskResponse } from "../generated/taskgrove/v1/task_service.js";
import { ProtocolError } from "./errors.js";
import { type Line, Receiver } from "./lines.js";
import { type Followed, HEARTBEAT_INTERVAL } from "./resuming.js";

/** A line, the task as it has become, or the task at rest, which is always the last event. */
export type WatchEvent =
  | { readonly kind: "line"; readonly line: Line }
  | { readonly kind: "task"; readonly task: Task }
  | { readonly kind: "rested"; readonly task: Task };

/** Follows one task across streams: every line after `afterLine`, once and in order, and every change. */
export class FollowedTask implements Followed<WatchTaskRequest, WatchTaskResponse, WatchEvent> {
  joined = false;
  finished = false;
  readonly #receiver: Receiver;
  #opened = false;

  constructor(
    private readonly taskId: string,
    afterLine: bigint,
  ) {
    this.#receiver = new Receiver(afterLine);
  }

  request(): WatchTaskRequest {
    this.#opened = false;
    this.#receiver.forget();
    return {
      taskId: this.taskId,
      afterLine: this.#receiver.lastLine,
      heartbeatInterval: HEARTBEAT_INTERVAL,
    };
  }

  *receive({ event }: WatchTaskResponse): Generator<WatchEvent> {
    if ((event?.$case === "opened") === this.#opened) {
      throw new ProtocolError(`The watch of task ${this.taskId} did not begin once with "opened".`);
    }
    switch (event?.$case) {
      case "opened":
        this.#opened = this.joined = true;
        // Lines before were removed by the server's retention.
        this.#receiver.skip(event.opened.firstLine);
        // What changed while no stream was open is not sent again.
        yield { kind: "task", task: present(event.opened.task) };
        break;
      case "lines":
        for (const line of this.#receiver.whole(event.lines)) yield { kind: "line", line };
        break;
      case "fragment":
        for (const line of this.#receiver.fragment(event.fragment)) yield { kind: "line", line };
        break;
      case "task":
        yield { kind: "task", task: event.task };
        break;
      case "rested":
        yield this.#rest(present(event.rested.task));
        break;
      default: // A heartbeat, or an event newer than this client.
    }
  }

  #rest(task: Task): WatchEvent {
    if (this.#receiver.torn || task.lastLine > this.#receiver.lastLine) {
      throw new ProtocolError(`Task ${this.taskId} rested after line ${this.#receiver.lastLine} of ${task.lastLine}.`);
    }
    this.finished = true;
    return { kind: "rested", task };
  }
}

function present(task: Task | undefined): Task {
  if (task === undefined) throw new ProtocolError("A message came without its task.");
  return task;
}
