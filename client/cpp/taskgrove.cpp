#include "taskgrove.h"

#include <array>
#include <random>

#include "following.h"

namespace taskgrove {
namespace {

// Follows one task across streams.
class FollowedTask {
 public:
  using Response = v1::WatchTaskResponse;

  FollowedTask(std::string task_id, std::int64_t after_line, OnLine on_line,
               std::function<void(const v1::Task&)> on_task)
      : task_id_(std::move(task_id)), receiver_(after_line, std::move(on_line)), on_task_(std::move(on_task)) {}

  bool joined() const { return joined_; }

  // The task at rest.
  const v1::Task& task() const { return task_; }

  v1::WatchTaskRequest request() {
    opened_ = false;
    receiver_.forget();
    v1::WatchTaskRequest request;
    request.set_task_id(task_id_);
    request.set_after_line(receiver_.last_line());
    request.mutable_heartbeat_interval()->set_seconds(kHeartbeatSeconds);
    return request;
  }

  bool receive(const Response& message) {
    if (message.has_opened() == opened_) throw ProtocolError("The watch did not begin once with \"opened\"");
    switch (message.event_case()) {
      case Response::kOpened:
        opened_ = joined_ = true;
        // Lines before were removed by the server's retention.
        receiver_.skip(message.opened().first_line());
        // What changed while no stream was open is not sent again.
        show(message.opened().task());
        break;
      case Response::kLines:
        receiver_.whole(message.lines());
        break;
      case Response::kFragment:
        receiver_.fragment(message.fragment());
        break;
      case Response::kTask:
        show(message.task());
        break;
      case Response::kRested:
        rest(message.rested().task());
        return false;
      default:  // A heartbeat, or an event newer than this client.
        break;
    }
    return true;
  }

 private:
  void show(const v1::Task& task) const {
    if (on_task_) on_task_(task);
  }

  void rest(const v1::Task& task) {
    if (receiver_.torn() || task.last_line() > receiver_.last_line()) {
      throw ProtocolError("The task rested before all of its lines had come");
    }
    task_ = task;
  }

  std::string task_id_;
  Receiver receiver_;
  std::function<void(const v1::Task&)> on_task_;
  v1::Task task_;
  bool opened_ = false;
  bool joined_ = false;
};

// Follows the events of all tasks across streams.
class Feed {
 public:
  using Response = v1::WatchEventsResponse;

  Feed(std::optional<std::int64_t> after_sequence, std::function<bool(const v1::Event&)> on_event)
      : last_sequence_(after_sequence), on_event_(std::move(on_event)) {}

  bool joined() const { return joined_; }

  v1::WatchEventsRequest request() {
    opened_ = false;
    v1::WatchEventsRequest request;
    if (last_sequence_) request.set_after_sequence(*last_sequence_);
    request.mutable_heartbeat_interval()->set_seconds(kHeartbeatSeconds);
    return request;
  }

  bool receive(const Response& message) {
    if (message.has_opened() == opened_) throw ProtocolError("The feed did not begin once with \"opened\"");
    if (message.has_opened()) {
      opened_ = joined_ = true;
      // Whoever starts from the oldest takes what there is.
      if (!last_sequence_) last_sequence_ = message.opened().last_sequence();
      if (last_sequence_ == 0) last_sequence_ = message.opened().first_sequence() - 1;
    }
    // A heartbeat, which without filters says nothing new, has no events; nor has a message newer than this client.
    for (const auto& event : message.events().events()) {
      if (event.sequence() != *last_sequence_ + 1) throw ProtocolError("An event is missing, or came again");
      last_sequence_ = event.sequence();
      if (!on_event_(event)) return false;
    }
    return true;
  }

 private:
  std::optional<std::int64_t> last_sequence_;
  std::function<bool(const v1::Event&)> on_event_;
  bool opened_ = false;
  bool joined_ = false;
};

}  // namespace

std::string new_request_id() {
  std::random_device random;
  std::uniform_int_distribution<int> digit(0, 15);
  std::string id(32, '0');
  for (char& each : id) each = "0123456789abcdef"[digit(random)];
  return id;
}

Client::Client(const Connection& connection)
    : token_(connection.token),
      channel_(connect(connection)),
      tasks_(v1::TaskService::NewStub(channel_)),
      task_lists_(v1::TaskListService::NewStub(channel_)),
      events_(v1::EventService::NewStub(channel_)) {}

v1::TaskList Client::create_task_list(const v1::CreateTaskListRequest& request) {
  return call(*task_lists_, &v1::TaskListService::Stub::CreateTaskList, request).task_list();
}

v1::Task Client::enqueue(const v1::EnqueueRequest& request) {
  return call(*tasks_, &v1::TaskService::Stub::Enqueue, request).task();
}

v1::Task Client::continue_task(const std::string& task_id, const std::string& prompt) {
  v1::ContinueRequest request;
  request.set_task_id(task_id);
  request.set_prompt(prompt);
  return call(*tasks_, &v1::TaskService::Stub::Continue, request).task();
}

v1::CancelResponse Client::cancel(const std::string& task_id) {
  v1::CancelRequest request;
  request.set_task_id(task_id);
  return call(*tasks_, &v1::TaskService::Stub::Cancel, request);
}

v1::Task Client::get_task(const std::string& task_id) {
  v1::GetTaskRequest request;
  request.set_task_id(task_id);
  return call(*tasks_, &v1::TaskService::Stub::GetTask, request).task();
}

v1::Task Client::watch_task(const std::string& task_id, std::int64_t after_line, const OnLine& on_line,
                            const std::function<void(const v1::Task&)>& on_task) {
  FollowedTask followed(task_id, after_line, on_line, on_task);
  follow(followed, [&](grpc::ClientContext* context, const v1::WatchTaskRequest& request) {
    authorize(context);
    return tasks_->WatchTask(context, request);
  });
  return followed.task();
}

void Client::watch_events(std::optional<std::int64_t> after_sequence,
                          const std::function<bool(const v1::Event&)>& on_event) {
  Feed feed(after_sequence, on_event);
  follow(feed, [&](grpc::ClientContext* context, const v1::WatchEventsRequest& request) {
    authorize(context);
    return events_->WatchEvents(context, request);
  });
}

void Client::authorize(grpc::ClientContext* context) const {
  if (!token_.empty()) context->AddMetadata("authorization", "Bearer " + token_);
}

}  // namespace taskgrove
