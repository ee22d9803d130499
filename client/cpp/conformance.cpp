// Runs one scenario of client/conformance/README.md, and prints what it saw.

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "taskgrove.h"
#include "taskgrove/v1/worktree_service.grpc.pb.h"

namespace v1 = taskgrove::v1;
using Json = nlohmann::json;
using taskgrove::Client;
using taskgrove::Connection;

namespace {

const Connection& connection() {
  static const Connection connection = Connection::of_environment();
  return connection;
}

const Json& given() {
  static const char* const text = std::getenv("TASKGROVE_PARAMETERS");
  static const Json parameters = Json::parse(text ? text : "{}");
  return parameters;
}

std::string text(const char* name) { return given().at(name).get<std::string>(); }

class Sha256 {
 public:
  Sha256() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }

  void update(std::string_view data) { EVP_DigestUpdate(context_.get(), data.data(), data.size()); }

  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &size);
    std::string hex;
    for (unsigned int i = 0; i < size; ++i) {
      hex += "0123456789abcdef"[digest[i] >> 4];
      hex += "0123456789abcdef"[digest[i] & 15];
    }
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

// Watches a task to its rest, and describes the lines after `after_line`, and the task.
Json watched(Client& client, const std::string& task_id, std::int64_t after_line = 0) {
  Sha256 digest;
  std::int64_t last = after_line;
  std::size_t bytes = 0, longest = 0;
  bool dense = true;
  std::vector<int> runs;
  const v1::Task task = client.watch_task(task_id, after_line, [&](const taskgrove::Line& line) {
    dense = dense && line.number == last + 1;
    last = line.number;
    digest.update(line.data);
    bytes += line.data.size();
    longest = std::max(longest, line.data.size());
    if (std::find(runs.begin(), runs.end(), line.run_number) == runs.end()) runs.push_back(line.run_number);
  });
  return {{"last_line", last},      {"dense", dense},          {"bytes", bytes},
          {"longest", longest},     {"sha256", digest.hex()},  {"runs", runs},
          {"state", v1::Task::State_Name(task.state())}};
}

// The name of a status code, as gRPC's documentation has it.
std::string name_of(grpc::StatusCode code) {
  static const char* const kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED", "NOT_FOUND",
      "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
      "UNIMPLEMENTED",  "INTERNAL",          "UNAVAILABLE",        "DATA_LOSS",           "UNAUTHENTICATED"};
  return kNames[code];
}

// Makes a call, and describes how it is refused.
Json refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const taskgrove::Error& error) {
    Json violations = Json::array();
    for (const auto& [field, description] : error.violations()) violations.push_back({field, description});
    return {{"code", name_of(error.code())},
            {"reason", error.reason().empty() ? Json() : Json(error.reason())},
            {"metadata", Json(error.metadata())},
            {"violations", violations}};
  }
  throw std::runtime_error("A call succeeded that had to be refused");
}

v1::EnqueueRequest task(const std::string& task_list_id, const std::string& title) {
  v1::EnqueueRequest request;
  request.set_task_list_id(task_list_id);
  request.set_title(title);
  return request;
}

Json enqueue(Client& client) {
  v1::CreateTaskListRequest list;
  list.set_title(text("list_title"));
  list.mutable_defaults()->set_agent("command");
  list.mutable_defaults()->mutable_command()->set_shell(text("command"));
  const std::string task_list_id = client.create_task_list(list).id();

  v1::EnqueueRequest request = task(task_list_id, text("title"));
  request.set_description(text("description"));
  for (const auto& title : given().at("subtasks")) request.add_subtasks()->set_title(title.get<std::string>());
  request.set_request_id(text("request_id"));
  const std::string first = client.enqueue(request).id();
  const std::string second = client.enqueue(request).id();
  request.set_title("Another");
  return {{"task_list_id", task_list_id},
          {"task_ids", {first, second}},
          {"reused", refusal([&] { client.enqueue(request); })}};
}

Json repeat(Client& client) {
  v1::UpdateTaskListRequest request;
  request.set_task_list_id(text("task_list_id"));
  request.set_title(text("title"));
  request.set_etag(text("etag"));
  request.set_request_id(text("request_id"));
  const auto rename = [&] {
    return client.call(client.task_lists(), &v1::TaskListService::Stub::UpdateTaskList, request).task_list().title();
  };
  const std::string first = rename();
  const std::string second = rename();
  request.clear_request_id();
  const Json stale = refusal(rename);
  v1::DeleteTaskListRequest deletion;
  deletion.set_task_list_id(text("task_list_id"));
  client.call(client.task_lists(), &v1::TaskListService::Stub::DeleteTaskList, deletion);
  return {{"titles", {first, second}}, {"stale", stale}};
}

Json watch(Client& client) { return watched(client, text("task_id"), given().at("after_line").get<std::int64_t>()); }

Json continue_task(Client& client) {
  const Json before = watched(client, text("task_id"));
  client.continue_task(text("task_id"), text("prompt"));
  return {{"before", before}, {"after", watched(client, text("task_id"), before.at("last_line").get<std::int64_t>())}};
}

Json cancel(Client& client) {
  Json outcomes = Json::object(), states = Json::object();
  const auto cancelled = [&](const std::string& task_id, const char* name) {
    const v1::CancelResponse response = client.cancel(task_id);
    outcomes[name] = v1::CancelResponse::Outcome_Name(response.outcome());
    return response.task();
  };
  const std::string running = client.enqueue(task(text("task_list_id"), "Running")).id();
  const v1::Task rested = client.watch_task(running, 0, [&](const taskgrove::Line&) {
    if (!outcomes.empty()) return;
    const std::string waiting = client.enqueue(task(text("task_list_id"), "Waiting")).id();
    states["waiting"] = v1::Task::State_Name(cancelled(waiting, "waiting").state());
    cancelled(running, "running");
  });
  states["running"] = v1::Task::State_Name(rested.state());
  cancelled(running, "rested");
  return {{"outcomes", outcomes}, {"states", states}};
}

Json errors(Client& client) {
  Client stranger({connection().target, text("wrong_token"), std::nullopt});
  Client lost({text("dead_target"), "", std::nullopt});
  return {{"unknown_task", refusal([&] { client.get_task(text("unknown_task_id")); })},
          {"unknown_watch", refusal([&] { watched(client, text("unknown_task_id")); })},
          {"empty_title", refusal([&] { client.enqueue(task(text("task_list_id"), "")); })},
          {"active_task", refusal([&] { client.continue_task(text("active_task_id"), "Go on."); })},
          {"wrong_token", refusal([&] { stranger.get_task(text("active_task_id")); })},
          {"no_server", refusal([&] { lost.get_task(text("active_task_id")); })}};
}

Json paging(Client& client) {
  v1::ListTasksRequest request;
  request.set_task_list_id(text("task_list_id"));
  request.set_page_size(given().at("page_size").get<int>());
  const auto page = [&] { return client.call(client.tasks(), &v1::TaskService::Stub::ListTasks, request); };
  std::vector<std::string> task_ids;
  do {
    const v1::ListTasksResponse response = page();
    for (const auto& task : response.tasks()) task_ids.push_back(task.id());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  request.set_page_token(text("page_token"));
  return {{"task_ids", task_ids}, {"made_up_token", refusal(page)}};
}

Json feed(Client& client) {
  std::vector<std::int64_t> sequences;
  std::vector<std::string> kinds;
  client.watch_events(0, [&](const v1::Event& event) {
    sequences.push_back(event.sequence());
    if (event.task_id() != text("task_id")) return true;
    kinds.push_back(v1::Event::Kind_Name(event.kind()));
    return event.kind() != v1::Event::KIND_TASK_FINISHED;
  });
  const bool dense = std::adjacent_find(sequences.begin(), sequences.end(),
                                        [](auto one, auto next) { return next != one + 1; }) == sequences.end();
  return {{"first_sequence", sequences.at(0)}, {"events", sequences.size()}, {"dense", dense}, {"kinds", kinds}};
}

Json diff(Client& client) {
  const auto worktrees = v1::WorktreeService::NewStub(client.channel());
  v1::DiffWorktreeRequest request;
  request.set_task_id(text("task_id"));
  grpc::ClientContext context;
  client.authorize(&context);
  const auto messages = worktrees->DiffWorktree(&context, request);

  Json seen = {{"files", Json::array()}, {"ended", false}};
  Sha256 digest;
  std::size_t bytes = 0;
  for (v1::DiffWorktreeResponse message; messages->Read(&message);) {
    seen["ended"] = message.has_end();
    if (message.has_summary()) {
      seen["base_commit"] = message.summary().base_commit();
      seen["head_commit"] = message.summary().head_commit();
    } else if (message.has_file()) {
      const v1::ChangedFile& file = message.file();
      seen["files"].push_back({{"path", file.path()},
                               {"kind", v1::ChangedFile::Kind_Name(file.kind())},
                               {"insertions", file.insertions()},
                               {"deletions", file.deletions()}});
    } else if (message.has_patch()) {
      digest.update(message.patch().data());
      bytes += message.patch().data().size();
    }
  }
  if (const grpc::Status status = messages->Finish(); !status.ok()) throw taskgrove::Error(status);
  seen["bytes"] = bytes;
  seen["sha256"] = digest.hex();
  return seen;
}

// Tells whether a client can be made; it calls nothing.
bool is_taken(const Connection& connection) {
  try {
    Client client(connection);
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

Json tls(Client& client) {
  const auto& [target, token, unused] = connection();
  Client unencrypted({target, token, std::nullopt});
  Json refused = Json::array();
  for (const auto& other : given().at("targets")) {
    if (!is_taken({other.get<std::string>(), token, std::nullopt})) refused.push_back(other);
  }
  return {{"watch", watched(client, text("task_id"))},
          {"unencrypted", refusal([&] { unencrypted.get_task(text("task_id")); })},
          {"refused_targets", refused}};
}

const std::map<std::string, Json (*)(Client&)> kScenarios = {
    {"enqueue", enqueue}, {"repeat", repeat}, {"watch", watch}, {"continue", continue_task}, {"cancel", cancel},
    {"errors", errors},   {"paging", paging}, {"feed", feed},   {"diff", diff},              {"tls", tls},
};

}  // namespace

int main(int argc, char** argv) try {
  Client client(connection());
  std::cout << kScenarios.at(argc > 1 ? argv[1] : "")(client) << "\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
