// Follows a stream across losses of the connection.

#ifndef TASKGROVE_FOLLOWING_H_
#define TASKGROVE_FOLLOWING_H_

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <thread>

#include "errors.h"

namespace taskgrove {

// Seconds after which a silent server sends a heartbeat.
constexpr int kHeartbeatSeconds = 15;

// The wait before the first new attempt, and at most; it doubles in between.
constexpr std::chrono::milliseconds kFirstBackoff{100};
constexpr std::chrono::milliseconds kLongestBackoff{5'000};

// The time for which attempts may fail in a row.
constexpr std::chrono::seconds kReconnectTimeout{60};

// A call that is cancelled on the server unless it was read to its end.
template <typename Response>
class Stream {
 public:
  template <typename Open>
  explicit Stream(Open&& open) : reader_(open(&context_)) {}
  ~Stream() {
    if (finished_) return;
    context_.TryCancel();
    reader_->Finish();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  bool read(Response* message) { return reader_->Read(message); }

  grpc::Status finish() {
    finished_ = true;
    return reader_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Response>> reader_;
  bool finished_ = false;
};

// Reads what is followed, across as many streams as it takes, until it wants no more.
//
// `Followed` has the types Request and Response, and three methods: `request` returns what to ask for to go on after
// what was shown, and expects that stream; `receive` shows a message, and returns whether more is wanted; `joined`
// tells whether an earlier stream was let in. `open` begins a stream. Throws Error when trying again cannot help, or
// has failed for too long.
template <typename Followed, typename Open>
void follow(Followed& followed, Open open) {
  using Clock = std::chrono::steady_clock;
  std::mt19937 random{std::random_device{}()};
  // So that not all watchers of a restarted server come back at once.
  std::uniform_real_distribution<double> jitter{0.5, 1.0};
  std::chrono::milliseconds backoff = kFirstBackoff;
  std::optional<Clock::time_point> failing_since;
  for (;;) {
    const auto request = followed.request();
    Stream<typename Followed::Response> stream([&](auto* context) { return open(context, request); });
    typename Followed::Response message;
    for (int messages = 1; stream.read(&message); ++messages) {
      failing_since.reset();
      // A server that opens a stream and drops it at once, again and again, is not recovering.
      if (messages > 1) backoff = kFirstBackoff;
      if (!followed.receive(message)) return;
    }
    const grpc::Status status = stream.finish();
    const Error failure(status.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "The stream ended early") : status);
    if (!is_loss(failure, followed.joined())) throw failure;
    if (!failing_since) failing_since = Clock::now();
    if (Clock::now() - *failing_since >= kReconnectTimeout) throw failure;
    std::this_thread::sleep_for(backoff * jitter(random) + failure.retry_delay());
    backoff = std::min(kLongestBackoff, 2 * backoff);
  }
}

}  // namespace taskgrove

#endif  // TASKGROVE_FOLLOWING_H_
