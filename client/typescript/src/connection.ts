/** Where a server is, and how a channel to it is set up. */

import { readFileSync } from "node:fs";

import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";

/** Where a server is, and what lets a client in. */
export interface Connection {
  /** An address in gRPC's notation, such as "unix:/run/user/1000/taskgroved.sock" or "localhost:50051". */
  readonly target: string;

  /** Goes with every call. The Unix socket needs none. */
  readonly token?: string | undefined;

  /** What a TLS connection is made with; without it nothing is encrypted, which is for servers of this machine. */
  readonly tls?: Tls | undefined;
}

/** What a TLS connection is made with: contents of PEM files. */
export interface Tls {
  /** The authorities of which the server's certificate may be; undefined means those that Node brings. */
  readonly ca?: Buffer | undefined;

  /** The client's own certificate and its key, where the server wants one. */
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;

  /** The name in the server's certificate, where the target has another. */
  readonly serverName?: string | undefined;
}

/**
 * Repeated by gRPC itself on UNAVAILABLE: all calls that read, or carry a request id, which every other gets here. The
 * watches resume by themselves.
 */
const REPEATED = {
  TaskService: [
    ...["Enqueue", "Continue", "Cancel", "GetTask", "ListTasks", "ListRuns"],
    ...["UpdateTask", "UpdateSubtask", "ReadLines", "RetryTask", "DeleteTask"],
  ],
  TaskListService: ["CreateTaskList", "GetTaskList", "ListTaskLists", "UpdateTaskList", "DeleteTaskList"],
  ServerService: ["GetServerInfo", "LiftHold"],
  WorktreeService: [
    ...["GetWorktreeStatus", "ListChangedFiles", "DiffWorktree", "ListCommits", "CheckLand"],
    ...["Land", "PushBranch", "DiscardWorktree", "PruneWorktrees", "ReadSetupLog"],
  ],
};

const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.service_config": JSON.stringify({
    methodConfig: [
      {
        name: Object.entries(REPEATED).flatMap(([service, methods]) =>
          methods.map((method) => ({ service: `taskgrove.v1.${service}`, method })),
        ),
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

/** Sockets of this machine, and addresses on it. Behind "dns://" there may be another machine to ask for names. */
const STAYS_HERE = /^(unix:|unix-abstract:|(dns:(\/\/\/)?|ipv4:|ipv6:)?(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$)/;

/**
 * Returns what the environment says: TASKGROVE_TARGET, TASKGROVE_TOKEN, and for TLS the paths of PEM files in
 * TASKGROVE_TLS_CA ("default" for the authorities that Node brings), TASKGROVE_TLS_CERT and TASKGROVE_TLS_KEY, and
 * TASKGROVE_TLS_SERVER_NAME. Throws for a file that cannot be read.
 */
export function ofEnvironment(): Connection {
  const { TASKGROVE_TARGET, TASKGROVE_TOKEN, TASKGROVE_TLS_SERVER_NAME } = process.env;
  const { TASKGROVE_TLS_CA: ca, TASKGROVE_TLS_CERT: cert, TASKGROVE_TLS_KEY: key } = process.env;
  return {
    target: TASKGROVE_TARGET || "localhost:50051",
    token: TASKGROVE_TOKEN,
    tls:
      ca || cert || key
        ? {
            ca: ca === "default" ? undefined : content(ca),
            cert: content(cert),
            key: content(key),
            serverName: TASKGROVE_TLS_SERVER_NAME,
          }
        : undefined,
  };
}

/** Returns what stubs are made with. Throws when a token would go to another machine unencrypted. */
export function channelOf({ target, token, tls }: Connection): [ChannelCredentials, ChannelOptions] {
  if (tls) {
    const { ca = null, cert = null, key = null, serverName } = tls;
    const name: ChannelOptions = serverName ? { "grpc.ssl_target_name_override": serverName } : {};
    return [credentials.createSsl(ca, key, cert), { ...CHANNEL_OPTIONS, ...name }];
  }
  if (token && !STAYS_HERE.test(target)) {
    throw new Error(`The token would go to ${target} unencrypted, for everybody on the way to read: TLS is needed.`);
  }
  return [credentials.createInsecure(), CHANNEL_OPTIONS];
}

function content(path: string | undefined): Buffer | undefined {
  return path ? readFileSync(path) : undefined;
}
