// What every communicator does alike, and the one of a single process.
#include "flashring/communicator.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "flashring/check.hpp"

namespace flashring {

double Communicator::sum(double value) const {
  sum(std::span<double>(&value, 1));
  return value;
}

std::int64_t Communicator::sum(std::int64_t value) const {
  sum(std::span<std::int64_t>(&value, 1));
  return value;
}

double Communicator::max(double value) const {
  max(std::span<double>(&value, 1));
  return value;
}

double Communicator::min(double value) const { return -max(-value); }

bool Communicator::any(bool failed) const { return max(failed ? 1.0 : 0.0) != 0; }

std::vector<std::string> Communicator::gather(const std::string &text) const {
  std::int64_t length = static_cast<std::int64_t>(text.size());
  const std::vector<std::byte> lengths = gather(std::as_bytes(std::span<const std::int64_t>(&length, 1)));
  const std::vector<std::byte> bytes = gather(std::as_bytes(std::span<const char>(text)));
  std::vector<std::string> texts(static_cast<std::size_t>(size()));
  std::size_t at = 0;
  for (std::size_t r = 0; r < texts.size(); ++r) {
    std::memcpy(&length, lengths.data() + r * sizeof(length), sizeof(length));
    const auto count = static_cast<std::size_t>(length);
    texts[r].assign(reinterpret_cast<const char *>(bytes.data()) + at, count);
    at += count;
  }
  return texts;
}

void Communicator::agree(const std::function<void()> &work) const {
  std::string message;
  bool failed = true;
  bool named = false;  // an agreement inside has named the rank
  try {
    work();
    failed = false;
  } catch (const std::bad_alloc &) {
    message = "out of memory; use more ranks or fewer points, and see what -dry_run says";
  } catch (const Error &error) {
    message = error.what();
    named = error.common() && !message.empty();
  } catch (const std::exception &error) {
    message = error.what();
  } catch (...) {
  }
  if (failed && message.empty()) message = "unnamed error";
  try {
    if (!any(failed)) return;
  } catch (const Error &silence) {
    throw Error(failed ? message + "; " + silence.what() : silence.what());
  }
  if (failed && !named) message = detail::concatenate("rank ", rank(), ": ", message);
  for (const std::string &first : gather(message))
    if (!first.empty()) throw Error(first, true);
}

namespace {

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void sum(std::span<double> /*values*/) const override {}
  void sum(std::span<std::int64_t> /*values*/) const override {}
  void max(std::span<double> /*values*/) const override {}
  void broadcast(std::span<std::byte> /*bytes*/, int /*root*/) const override {}
  std::vector<std::byte> gather(std::span<const std::byte> bytes) const override {
    return {bytes.begin(), bytes.end()};
  }
  [[noreturn]] void abort(int exit_code) const override { std::_Exit(exit_code); }
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator() { return std::make_unique<SelfCommunicator>(); }

}  // namespace flashring
