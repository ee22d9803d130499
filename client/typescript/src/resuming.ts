/** Follows a stream across losses of the connection. */

import { setTimeout as sleep } from "node:timers/promises";

import { type ClientReadableStream, status } from "@grpc/grpc-js";

import { ErrorReason } from "../generated/taskgrove/v1/error_reason.js";
import { TaskgroveError, translated } from "./errors.js";

/** Seconds after which a silent server sends a heartbeat. */
export const HEARTBEAT_INTERVAL = { seconds: 15n, nanos: 0 };

/** Milliseconds before the first new attempt, and at most; the wait doubles in between. */
const FIRST_BACKOFF = 100;
const LONGEST_BACKOFF = 5_000;

/** Codes that say nothing of what is watched: the connection, a proxy, or the server's process went away. */
const LOSSES: readonly status[] = [status.UNAVAILABLE, status.CANCELLED, status.DEADLINE_EXCEEDED];

/** What gRPC and proxies put into INTERNAL and UNKNOWN when a stream is reset under way. */
const RESETS = /rst_stream|goaway|stream removed|stream reset|connection reset|socket closed/i;

/** What is followed: it knows where to go on, and what a message shows. */
export interface Followed<Request, Response, Item> {
  /** Tells whether an earlier stream was let in. */
  readonly joined: boolean;

  /** Tells whether nothing more will come. */
  readonly finished: boolean;

  /** Returns what to ask for to go on after what was shown, and expects that stream. */
  request(): Request;

  /** Yields what a message shows; throws ProtocolError when the server breaks its contract. */
  receive(message: Response): Iterable<Item>;
}

/**
 * Yields what is followed, across as many streams as it takes. Leaving the loop ends the stream on the server.
 *
 * Throws TaskgroveError when trying again cannot help, or has failed for `reconnectTimeout` milliseconds.
 */
export async function* follow<Request, Response, Item>(
  open: (request: Request) => ClientReadableStream<Response>,
  followed: Followed<Request, Response, Item>,
  reconnectTimeout = 60_000,
): AsyncGenerator<Item, void, undefined> {
  let failures = 0;
  let failingSince: number | undefined;
  for (;;) {
    const stream = open(followed.request());
    // Cancelling ends a stream with an error, which nobody waits for any more.
    stream.on("error", () => {});
    let failure: TaskgroveError | undefined;
    let messages = 0;
    try {
      for await (const message of stream as AsyncIterable<Response>) {
        failingSince = undefined;
        messages += 1;
        yield* followed.receive(message);
        if (followed.finished) return;
      }
    } catch (error) {
      const cause = translated(error);
      if (!(cause instanceof TaskgroveError) || !isLoss(cause, followed.joined)) throw cause;
      failure = cause;
    } finally {
      stream.cancel();
    }
    // A server that opens a stream and drops it at once, again and again, is not recovering.
    if (messages > 1) failures = 0;
    failingSince ??= performance.now();
    if (performance.now() - failingSince >= reconnectTimeout) {
      throw failure ?? new Error(`The stream ended early, for ${reconnectTimeout} ms in a row.`);
    }
    await sleep(delay(failures, failure));
    failures += 1;
  }
}

/** Returns the milliseconds to wait: cut by up to half at random, so that not all watchers come back at once. */
function delay(failures: number, failure: TaskgroveError | undefined): number {
  const backoff = Math.min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** failures);
  return backoff * (1 - Math.random() / 2) + (failure?.retryDelay ?? 0);
}

function isLoss(failure: TaskgroveError, joined: boolean): boolean {
  if (LOSSES.includes(failure.code)) return true;
  // After a restart all come back at once: who was let in before waits for its place.
  if (failure.is(ErrorReason.ERROR_REASON_TOO_MANY_WATCHERS)) return joined;
  // The service's own errors always have a reason.
  if (failure.reason !== undefined) return false;
  return (failure.code === status.INTERNAL || failure.code === status.UNKNOWN) && RESETS.test(failure.message);
}
