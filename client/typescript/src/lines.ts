/** The lines of a task's log, put together from what streams carry. */

import type { WatchTaskResponse_Fragment, WatchTaskResponse_Lines } from "../generated/taskgrove/v1/task_service.js";
import { ProtocolError } from "./errors.js";

const NEWLINE = 10;

/** One line: `number` counts within the task; `data` holds the bytes with their newline, usually JSON in UTF-8. */
export interface Line {
  readonly number: bigint;
  readonly runNumber: number;
  readonly data: Buffer;
}

/** Takes pieces in order, and checks that no line is missing, repeated or torn. */
export class Receiver {
  #pieces: Buffer[] = [];
  #received = 0n;

  /** `lastLine` is the last line that was taken whole. */
  constructor(public lastLine: bigint) {}

  /** Tells whether a line was begun and not ended. */
  get torn(): boolean {
    return this.#pieces.length > 0;
  }

  /** Drops a line that was begun: the next stream sends it again from its start. */
  forget(): void {
    this.#pieces = [];
    this.#received = 0n;
  }

  /** Goes on from a line before which none is kept; with 1, or one that was taken before, from where it is. */
  skip(firstLine: bigint): void {
    if (firstLine - 1n > this.lastLine) this.lastLine = firstLine - 1n;
  }

  /** Yields lines. `lastLine` moves with each one taken, so stopping in the middle is safe. */
  *whole(lines: WatchTaskResponse_Lines): Generator<Line> {
    if (this.torn) throw new ProtocolError(`Whole lines came in the middle of line ${this.lastLine + 1n}.`);
    this.#expect(lines.firstLine);
    let start = 0;
    let count = 0;
    for (let end = 0; (end = lines.data.indexOf(NEWLINE, start) + 1) > 0; start = end) {
      count += 1;
      yield this.#line(lines.runNumber, lines.data.subarray(start, end));
    }
    if (start !== lines.data.length || count !== lines.count) {
      throw new ProtocolError(`The bytes from line ${lines.firstLine} on are not ${lines.count} lines.`);
    }
  }

  /** Yields the line if this piece ends it. */
  *fragment(fragment: WatchTaskResponse_Fragment): Generator<Line> {
    this.#expect(fragment.line);
    if (fragment.offset !== this.#received) {
      throw new ProtocolError(`Line ${fragment.line} went on at byte ${fragment.offset}, not ${this.#received}.`);
    }
    this.#pieces.push(fragment.data);
    this.#received += BigInt(fragment.data.length);
    if (this.#received < fragment.lineSize) return;
    const data = Buffer.concat(this.#pieces);
    if (this.#received > fragment.lineSize || data.indexOf(NEWLINE) !== data.length - 1) {
      throw new ProtocolError(`The pieces of line ${fragment.line} are not one line of ${fragment.lineSize} bytes.`);
    }
    this.forget();
    yield this.#line(fragment.runNumber, data);
  }

  #expect(number: bigint): void {
    if (number !== this.lastLine + 1n) throw new ProtocolError(`Line ${number} came after line ${this.lastLine}.`);
  }

  #line(runNumber: number, data: Buffer): Line {
    this.lastLine += 1n;
    return { number: this.lastLine, runNumber, data };
  }
}
