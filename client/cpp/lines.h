// The lines of a task's log, put together from what streams carry.

#ifndef TASKGROVE_LINES_H_
#define TASKGROVE_LINES_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "taskgrove/v1/task_service.pb.h"

namespace taskgrove {

// One line: `number` counts within the task; `data` holds the bytes with their newline, usually JSON in UTF-8, for as
// long as the call lasts that shows the line.
struct Line {
  std::int64_t number;
  std::int32_t run_number;
  std::string_view data;
};

using OnLine = std::function<void(const Line&)>;

// Takes pieces in order, and checks that no line is missing, repeated or torn: throws ProtocolError.
class Receiver {
 public:
  Receiver(std::int64_t after_line, OnLine on_line) : last_line_(after_line), on_line_(std::move(on_line)) {}

  // The last line that was shown whole.
  std::int64_t last_line() const { return last_line_; }

  // Tells whether a line was begun and not ended.
  bool torn() const { return !pieces_.empty(); }

  // Drops a line that was begun: the next stream sends it again from its start.
  void forget() { pieces_.clear(); }

  // Goes on from a line before which none is kept; with 1, or one that was shown before, from where it is.
  void skip(std::int64_t first_line) { last_line_ = std::max(last_line_, first_line - 1); }

  // Shows the lines of a message.
  void whole(const v1::WatchTaskResponse::Lines& lines);

  // Keeps a piece, and shows the line that it ends.
  void fragment(const v1::WatchTaskResponse::Fragment& fragment);

 private:
  void expect(std::int64_t number) const;
  void show(std::int32_t run_number, std::string_view data);

  std::int64_t last_line_;
  OnLine on_line_;
  std::string pieces_;
};

}  // namespace taskgrove

#endif  // TASKGROVE_LINES_H_
