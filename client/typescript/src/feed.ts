/** What the feed of events shows. */

import type { Event } from "../generated/taskgrove/v1/event.js";
import { WatchEventsRequest, type WatchEventsResponse } from "../generated/taskgrove/v1/event_service.js";
import { ProtocolError } from "./errors.js";
import { type Followed, HEARTBEAT_INTERVAL } from "./resuming.js";

/** Follows the events of all tasks across streams; `lastSequence` undefined means from now on. */
export class Feed implements Followed<WatchEventsRequest, WatchEventsResponse, Event> {
  joined = false;
  readonly finished = false;
  #opened = false;

  constructor(private lastSequence: bigint | undefined) {}

  request(): WatchEventsRequest {
    this.#opened = false;
    return {
      afterSequence: this.lastSequence,
      taskListIds: [],
      kinds: [],
      heartbeatInterval: HEARTBEAT_INTERVAL,
    };
  }

  *receive({ message }: WatchEventsResponse): Generator<Event> {
    if ((message?.$case === "opened") === this.#opened) {
      throw new ProtocolError('The feed did not begin once with "opened".');
    }
    switch (message?.$case) {
      case "opened":
        this.#opened = this.joined = true;
        this.lastSequence ??= message.opened.lastSequence;
        // Whoever starts from the oldest takes what there is.
        if (this.lastSequence === 0n) this.lastSequence = message.opened.firstSequence - 1n;
        break;
      case "events":
        for (const event of message.events.events) {
          const expected = (this.lastSequence ?? 0n) + 1n;
          if (event.sequence !== expected) {
            throw new ProtocolError(`Event ${event.sequence} came where ${expected} was due.`);
          }
          this.lastSequence = event.sequence;
          yield event;
        }
        break;
      default: // A heartbeat, which without filters says nothing new, or a message newer than this client.
    }
  }
}
