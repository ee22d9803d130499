// A client of one Taskgrove server.

#ifndef TASKGROVE_TASKGROVE_H_
#define TASKGROVE_TASKGROVE_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "connection.h"
#include "errors.h"
#include "lines.h"
#include "taskgrove/v1/event_service.grpc.pb.h"
#include "taskgrove/v1/task_list_service.grpc.pb.h"
#include "taskgrove/v1/task_service.grpc.pb.h"

namespace taskgrove {

// Returns an id that no other call has.
std::string new_request_id();

// Gives a request an id, where its type has one and the caller has not: a call that is repeated then counts once.
template <typename Request>
auto identify(Request& request, int) -> decltype(request.set_request_id(std::string())) {
  if (request.request_id().empty()) request.set_request_id(new_request_id());
}
template <typename Request>
void identify(Request&, long) {}

// Holds one connection, which threads may share. What has no method here is called on the stubs, through `call`.
class Client {
 public:
  // Connects with the first call. Throws std::invalid_argument when a token would go to another machine unencrypted.
  explicit Client(const Connection& connection);

  // The time within which a call that does not stream has to be answered; and one for which git works in a repository,
  // such as Land.
  static constexpr std::chrono::seconds kTimeout{30};
  static constexpr std::chrono::seconds kWorkTimeout{600};

  // Makes one call: `client.call(client.tasks(), &v1::TaskService::Stub::GetTask, request)`. Throws Error. One that
  // changes something gets a request id, unless it has one.
  template <typename Stub, typename Request, typename Response>
  Response call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                Request request, std::chrono::seconds timeout = kTimeout) const {
    identify(request, 0);
    grpc::ClientContext context;
    authorize(&context);
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    Response response;
    if (const grpc::Status status = (stub.*method)(&context, request, &response); !status.ok()) throw Error(status);
    return response;
  }

  // Creates a task list.
  v1::TaskList create_task_list(const v1::CreateTaskListRequest& request);

  // Adds a task to the queue. When this returns, the task is on the server's disk and will be run.
  v1::Task enqueue(const v1::EnqueueRequest& request);

  // Takes a resting task back to the queue; its next run resumes the session of its last one.
  v1::Task continue_task(const std::string& task_id, const std::string& prompt);

  // Cancels a task; `outcome` tells what that did.
  v1::CancelResponse cancel(const std::string& task_id);

  // Returns a task.
  v1::Task get_task(const std::string& task_id);

  // Follows a task, and returns it at rest: shows every line after `after_line`, once and in order, over lost
  // connections, and, if that is wanted, the task when it has changed.
  v1::Task watch_task(const std::string& task_id, std::int64_t after_line, const OnLine& on_line,
                      const std::function<void(const v1::Task&)>& on_task = nullptr);

  // Follows what happens to all tasks until `on_event` returns false. 0 means from the oldest event, nullopt from now
  // on.
  void watch_events(std::optional<std::int64_t> after_sequence,
                    const std::function<bool(const v1::Event&)>& on_event);

  v1::TaskService::Stub& tasks() { return *tasks_; }
  v1::TaskListService::Stub& task_lists() { return *task_lists_; }

  // The connection, for stubs of other services.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Adds the token to a call that is made without `call`.
  void authorize(grpc::ClientContext* context) const;

 private:
  std::string token_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::TaskService::Stub> tasks_;
  std::unique_ptr<v1::TaskListService::Stub> task_lists_;
  std::unique_ptr<v1::EventService::Stub> events_;
};

}  // namespace taskgrove

#endif  // TASKGROVE_TASKGROVE_H_
