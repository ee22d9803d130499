/** Why a call failed. */

import { Metadata, status } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo, RetryInfo, Status } from "../generated/taskgrove/status.js";
import { ErrorReason } from "../generated/taskgrove/v1/error_reason.js";

/** The trailing metadata key in which gRPC carries the status, for all languages. */
const DETAILS = "grpc-status-details-bin";

/** The ErrorInfo domain of this service; reasons of another domain (a proxy's, say) mean something else. */
const DOMAIN = "taskgrove.dev";

/** Tells what is wrong with one field of a request. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** A call that was refused, or that did not reach the server. */
export class TaskgroveError extends Error {
  override readonly name = "TaskgroveError";

  /** The gRPC status code. */
  readonly code: status;

  /** The name of an ErrorReason without its prefix; undefined when the failure is not the service's own. */
  readonly reason: string | undefined = undefined;

  /** The parts of the message that a program may want, by name. */
  readonly metadata: Readonly<Record<string, string>> = {};

  /** The fields that were refused. */
  readonly violations: readonly Violation[] = [];

  /** The milliseconds after which the server invites another call; 0 when it does not say. */
  readonly retryDelay: number = 0;

  /** Reads what `error` carries; details that are absent or unknown are left out. */
  constructor(error: Refusal) {
    super(error.details || error.message, { cause: error });
    this.code = error.code;
    for (const detail of decode(error.metadata)?.details ?? []) {
      switch (detail.typeUrl.slice(detail.typeUrl.lastIndexOf("/") + 1)) {
        case "google.rpc.ErrorInfo": {
          const info = ErrorInfo.decode(detail.value);
          if (info.domain === DOMAIN) {
            this.reason = info.reason;
            this.metadata = info.metadata;
          }
          break;
        }
        case "google.rpc.BadRequest":
          this.violations = BadRequest.decode(detail.value).fieldViolations;
          break;
        case "google.rpc.RetryInfo": {
          const delay = RetryInfo.decode(detail.value).retryDelay;
          this.retryDelay = delay ? Number(delay.seconds) * 1000 + delay.nanos / 1e6 : 0;
          break;
        }
      }
    }
  }

  /** Tells whether the service gave this reason. */
  is(reason: ErrorReason): boolean {
    return this.reason !== undefined && ErrorReason[reason] === `ERROR_REASON_${this.reason}`;
  }
}

/** A server that broke the contract of a stream, for instance by leaving out a line. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** What gRPC fails with. */
interface Refusal extends Error {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Translates what gRPC fails with; anything else stays as it is. */
export function translated(error: unknown): unknown {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error
    ? new TaskgroveError(error as Refusal)
    : error;
}

function decode(metadata: Metadata): Status | undefined {
  const [encoded] = metadata.get(DETAILS);
  return encoded instanceof Buffer ? Status.decode(encoded) : undefined;
}
