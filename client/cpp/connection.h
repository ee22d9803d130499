// Where a server is, and how a channel to it is set up.

#ifndef TASKGROVE_CONNECTION_H_
#define TASKGROVE_CONNECTION_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

namespace taskgrove {

// What a TLS connection is made with: contents of PEM files.
struct Tls {
  // The authorities of which the server's certificate may be; empty means those that gRPC finds.
  std::string ca;

  // The client's own certificate and its key, where the server wants one.
  std::string cert;
  std::string key;

  // The name in the server's certificate, where the target has another.
  std::string server_name;
};

// Where a server is, and what lets a client in.
struct Connection {
  // An address in gRPC's notation, such as "unix:/run/user/1000/taskgroved.sock" or "localhost:50051".
  std::string target;

  // Goes with every call. The Unix socket needs none.
  std::string token;

  // Without it nothing is encrypted, which is for servers of this machine.
  std::optional<Tls> tls;

  // Returns what the environment says: TASKGROVE_TARGET, TASKGROVE_TOKEN, and for TLS the paths of PEM files in
  // TASKGROVE_TLS_CA ("default" for the authorities that gRPC finds), TASKGROVE_TLS_CERT and TASKGROVE_TLS_KEY, and
  // TASKGROVE_TLS_SERVER_NAME. Throws std::runtime_error for a file that cannot be read.
  static Connection of_environment();
};

// Returns a channel, which connects with the first call. Throws std::invalid_argument when a token would go to another
// machine unencrypted.
std::shared_ptr<grpc::Channel> connect(const Connection& connection);

}  // namespace taskgrove

#endif  // TASKGROVE_CONNECTION_H_
