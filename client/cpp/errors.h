// Why a call failed.

#ifndef TASKGROVE_ERRORS_H_
#define TASKGROVE_ERRORS_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "taskgrove/v1/error_reason.pb.h"

namespace taskgrove {

// Tells what is wrong with one field of a request.
struct Violation {
  std::string field;
  std::string description;
};

// A call that was refused, or that did not reach the server.
class Error : public std::runtime_error {
 public:
  // Reads what a status carries; details that are absent, unknown or malformed are left out.
  explicit Error(const grpc::Status& status);

  grpc::StatusCode code() const { return code_; }

  // The name of an ErrorReason without its prefix; empty when the failure is not the service's own.
  const std::string& reason() const { return reason_; }

  // Tells whether the service gave this reason.
  bool is(v1::ErrorReason reason) const;

  // The parts of the message that a program may want, by name.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // The fields that were refused.
  const std::vector<Violation>& violations() const { return violations_; }

  // The time after which the server invites another call; 0 when it does not say.
  std::chrono::milliseconds retry_delay() const { return retry_delay_; }

 private:
  grpc::StatusCode code_;
  std::string reason_;
  std::map<std::string, std::string> metadata_;
  std::vector<Violation> violations_;
  std::chrono::milliseconds retry_delay_{0};
};

// A server that broke the contract of a stream, for instance by leaving out a line.
class ProtocolError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Tells whether a stream that ended with this error may be opened again. `joined` tells that an earlier one was let in.
bool is_loss(const Error& error, bool joined);

}  // namespace taskgrove

#endif  // TASKGROVE_ERRORS_H_
