#include "errors.h"

#include <algorithm>
#include <cctype>

#include "taskgrove/status.pb.h"

namespace taskgrove {
namespace {

// The ErrorInfo domain of this service; reasons of another domain (a proxy's, say) mean something else.
constexpr char kDomain[] = "taskgrove.dev";

// What gRPC and proxies put into INTERNAL and UNKNOWN when a stream is reset under way.
constexpr const char* kResets[] = {"rst_stream",   "goaway",           "stream removed",
                                   "stream reset", "connection reset", "socket closed"};

bool tells_of_a_reset(std::string message) {
  std::transform(message.begin(), message.end(), message.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::any_of(std::begin(kResets), std::end(kResets),
                     [&](const char* sign) { return message.find(sign) != std::string::npos; });
}

}  // namespace

Error::Error(const grpc::Status& status) : std::runtime_error(status.error_message()), code_(status.error_code()) {
  status::Status decoded;
  if (!decoded.ParseFromString(status.error_details())) return;
  for (const auto& detail : decoded.details()) {
    const std::string name = detail.type_url().substr(detail.type_url().rfind('/') + 1);
    if (status::ErrorInfo info; name == "google.rpc.ErrorInfo" && info.ParseFromString(detail.value())) {
      if (info.domain() != kDomain) continue;
      reason_ = info.reason();
      metadata_.insert(info.metadata().begin(), info.metadata().end());
    }
    if (status::BadRequest bad; name == "google.rpc.BadRequest" && bad.ParseFromString(detail.value())) {
      for (const auto& violation : bad.field_violations()) {
        violations_.push_back({violation.field(), violation.description()});
      }
    }
    if (status::RetryInfo retry; name == "google.rpc.RetryInfo" && retry.ParseFromString(detail.value())) {
      const auto& delay = retry.retry_delay();
      retry_delay_ = std::chrono::milliseconds(delay.seconds() * 1000 + delay.nanos() / 1'000'000);
    }
  }
}

bool Error::is(v1::ErrorReason reason) const { return v1::ErrorReason_Name(reason) == "ERROR_REASON_" + reason_; }

bool is_loss(const Error& error, bool joined) {
  switch (error.code()) {
    // These say nothing of what is watched: the connection, a proxy, or the server's process went away.
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return true;
    // The service's own errors always have a reason.
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
      return error.reason().empty() && tells_of_a_reset(error.what());
    default:
      // After a restart all come back at once: who was let in before waits for its place.
      return joined && error.is(v1::ERROR_REASON_TOO_MANY_WATCHERS);
  }
}

}  // namespace taskgrove
