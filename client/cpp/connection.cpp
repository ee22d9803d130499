#include "connection.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <stdexcept>

namespace taskgrove {
namespace {

// gRPC itself repeats, on UNAVAILABLE, all calls that read, or carry a request id, which Client::call gives to every
// other. The watches resume by themselves.
constexpr char kServiceConfig[] = R"({"methodConfig": [{
  "name": [
    {"service": "taskgrove.v1.TaskService", "method": "Enqueue"},
    {"service": "taskgrove.v1.TaskService", "method": "Continue"},
    {"service": "taskgrove.v1.TaskService", "method": "Cancel"},
    {"service": "taskgrove.v1.TaskService", "method": "GetTask"},
    {"service": "taskgrove.v1.TaskService", "method": "ListTasks"},
    {"service": "taskgrove.v1.TaskService", "method": "ListRuns"},
    {"service": "taskgrove.v1.TaskService", "method": "UpdateTask"},
    {"service": "taskgrove.v1.TaskService", "method": "UpdateSubtask"},
    {"service": "taskgrove.v1.TaskService", "method": "ReadLines"},
    {"service": "taskgrove.v1.TaskService", "method": "RetryTask"},
    {"service": "taskgrove.v1.TaskService", "method": "DeleteTask"},
    {"service": "taskgrove.v1.TaskListService", "method": "CreateTaskList"},
    {"service": "taskgrove.v1.TaskListService", "method": "GetTaskList"},
    {"service": "taskgrove.v1.TaskListService", "method": "ListTaskLists"},
    {"service": "taskgrove.v1.TaskListService", "method": "UpdateTaskList"},
    {"service": "taskgrove.v1.TaskListService", "method": "DeleteTaskList"},
    {"service": "taskgrove.v1.ServerService", "method": "GetServerInfo"},
    {"service": "taskgrove.v1.ServerService", "method": "LiftHold"},
    {"service": "taskgrove.v1.WorktreeService", "method": "GetWorktreeStatus"},
    {"service": "taskgrove.v1.WorktreeService", "method": "ListChangedFiles"},
    {"service": "taskgrove.v1.WorktreeService", "method": "DiffWorktree"},
    {"service": "taskgrove.v1.WorktreeService", "method": "ListCommits"},
    {"service": "taskgrove.v1.WorktreeService", "method": "CheckLand"},
    {"service": "taskgrove.v1.WorktreeService", "method": "Land"},
    {"service": "taskgrove.v1.WorktreeService", "method": "PushBranch"},
    {"service": "taskgrove.v1.WorktreeService", "method": "DiscardWorktree"},
    {"service": "taskgrove.v1.WorktreeService", "method": "PruneWorktrees"},
    {"service": "taskgrove.v1.WorktreeService", "method": "ReadSetupLog"}
  ],
  "retryPolicy": {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]
  }
}]})";

std::string of_environment(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value && *value ? value : otherwise;
}

std::string content(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("Cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Tells whether what goes to a target stays on this machine: sockets of it, and addresses on it. Behind "dns://" there
// may be another machine to ask for names.
bool stays_here(const std::string& target) {
  static const std::regex kHere(
      R"((unix:|unix-abstract:).*|(dns:(///)?|ipv4:|ipv6:)?(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?)");
  return std::regex_match(target, kHere);
}

}  // namespace

Connection Connection::of_environment() {
  Connection connection{taskgrove::of_environment("TASKGROVE_TARGET", "localhost:50051"),
                        taskgrove::of_environment("TASKGROVE_TOKEN"), std::nullopt};
  const std::string ca = taskgrove::of_environment("TASKGROVE_TLS_CA");
  const std::string cert = taskgrove::of_environment("TASKGROVE_TLS_CERT");
  const std::string key = taskgrove::of_environment("TASKGROVE_TLS_KEY");
  if (!ca.empty() || !cert.empty() || !key.empty()) {
    connection.tls = Tls{content(ca == "default" ? "" : ca), content(cert), content(key),
                         taskgrove::of_environment("TASKGROVE_TLS_SERVER_NAME")};
  }
  return connection;
}

std::shared_ptr<grpc::Channel> connect(const Connection& connection) {
  const auto& [target, token, tls] = connection;
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  // Finds a peer that is gone without a word within 45 s. The server permits a ping every 10 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 15'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // A proxy from the environment has no business with a local service, nor with its token.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (tls) {
    if (!tls->server_name.empty()) arguments.SetSslTargetNameOverride(tls->server_name);
    return grpc::CreateCustomChannel(target, grpc::SslCredentials({tls->ca, tls->key, tls->cert}), arguments);
  }
  if (!token.empty() && !stays_here(target)) {
    throw std::invalid_argument("The token would go to " + target +
                                " unencrypted, for everybody on the way to read: TLS is needed");
  }
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace taskgrove
