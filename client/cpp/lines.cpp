#include "lines.h"

#include "errors.h"

namespace taskgrove {

void Receiver::whole(const v1::WatchTaskResponse::Lines& lines) {
  if (torn()) throw ProtocolError("Whole lines came in the middle of line " + std::to_string(last_line_ + 1));
  expect(lines.first_line());
  std::string_view rest = lines.data();
  std::int32_t count = 0;
  for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
    count += 1;
    show(lines.run_number(), rest.substr(0, end + 1));
  }
  if (!rest.empty() || count != lines.count()) {
    throw ProtocolError("Bytes came that are not " + std::to_string(lines.count()) + " lines");
  }
}

void Receiver::fragment(const v1::WatchTaskResponse::Fragment& fragment) {
  expect(fragment.line());
  if (fragment.offset() != static_cast<std::int64_t>(pieces_.size())) {
    throw ProtocolError("Line " + std::to_string(fragment.line()) + " went on at another byte than it had stopped at");
  }
  pieces_ += fragment.data();
  const auto received = static_cast<std::int64_t>(pieces_.size());
  if (received < fragment.line_size()) return;
  if (received > fragment.line_size() || pieces_.find('\n') != pieces_.size() - 1) {
    throw ProtocolError("The pieces of line " + std::to_string(fragment.line()) + " are not one line");
  }
  const std::string data = std::move(pieces_);
  pieces_.clear();
  show(fragment.run_number(), data);
}

void Receiver::expect(std::int64_t number) const {
  if (number != last_line_ + 1) {
    throw ProtocolError("Line " + std::to_string(number) + " came after line " + std::to_string(last_line_));
  }
}

void Receiver::show(std::int32_t run_number, std::string_view data) {
  last_line_ += 1;
  on_line_({last_line_, run_number, data});
}

}  // namespace taskgrove
