// Queues a task, shows what the agent writes, and says how it ended.
//
//     build/example "Mend the failing test"   # in a git repository

#include <filesystem>
#include <iostream>

#include "taskgrove.h"

namespace v1 = taskgrove::v1;

int main(int argc, char** argv) try {
  taskgrove::Client client(taskgrove::Connection::of_environment());

  v1::CreateTaskListRequest list;
  list.set_title("Example");
  list.set_working_dir(std::filesystem::current_path());

  v1::EnqueueRequest request;
  request.set_task_list_id(client.create_task_list(list).id());
  request.set_title(argc > 1 ? argv[1] : "Say hello");
  const v1::Task queued = client.enqueue(request);

  const v1::Task task = client.watch_task(
      queued.id(), 0, [](const taskgrove::Line& line) { std::cout << line.data; },
      [](const v1::Task& task) { std::cerr << task.id() << " is " << v1::Task::State_Name(task.state()) << "\n"; });
  if (task.state() != v1::Task::STATE_SUCCEEDED) {
    std::cerr << (task.has_failure() ? task.failure().message() : "The task was cancelled.") << "\n";
    return 1;
  }
  std::cerr << "The commit is on " << task.worktree().branch() << ".\n";
} catch (const taskgrove::Error& error) {
  std::cerr << (error.reason().empty() ? "no answer" : error.reason()) << ": " << error.what() << "\n";
  for (const auto& [field, description] : error.violations()) std::cerr << "  " << field << ": " << description << "\n";
  return 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
