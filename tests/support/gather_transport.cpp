#include "support/gather_transport.hpp"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "flashring/check.hpp"

namespace flashring {
std::unique_ptr<Transport> make_staged_transport(std::unique_ptr<Transport> inner, const Device &device);
}

namespace flashring::test {
namespace {

/// Before each message of a rank.
struct Header {
  std::int64_t to = 0;
  std::int64_t channel = 0;
  std::int64_t bytes = 0;
};

class DoneExchange final : public Exchange {
 public:
  bool test() override { return true; }
  void wait() override {}
};

class GatherTransport final : public Transport {
 public:
  explicit GatherTransport(const Communicator &communicator) : communicator_(communicator) {}
  const char *name() const override { return "gather"; }

  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    std::string mine;
    for (const Message &send : sends) {
      const Header header{send.peer, send.channel, static_cast<std::int64_t>(send.bytes)};
      mine.append(reinterpret_cast<const char *>(&header), sizeof header);
      mine.append(reinterpret_cast<const char *>(send.data), send.bytes);
    }
    std::vector<std::string> all = communicator_.gather(mine);
    for (const Message &receive : receives) take(all.at(static_cast<std::size_t>(receive.peer)), receive);
    return std::make_unique<DoneExchange>();
  }

 private:
  /// The first message of `sent` for this rank on that channel, which is then gone.
  void take(std::string &sent, const Message &receive) const {
    Header header;
    for (std::size_t at = 0; at < sent.size(); at += sizeof header + static_cast<std::size_t>(header.bytes)) {
      std::memcpy(&header, sent.data() + at, sizeof header);
      if (header.to != communicator_.rank() || header.channel != receive.channel) continue;
      FLASHRING_REQUIRE(header.bytes == static_cast<std::int64_t>(receive.bytes), "message sizes differ");
      if (receive.bytes > 0) std::memcpy(receive.data, sent.data() + at + sizeof header, receive.bytes);
      sent.erase(at, sizeof header + receive.bytes);
      return;
    }
    FLASHRING_REQUIRE(false, "no message on channel ", receive.channel);
  }

  const Communicator &communicator_;
};

class LeavingTransport final : public Transport {
 public:
  LeavingTransport(std::unique_ptr<Transport> inner, int last, int exit_code)
      : inner_(std::move(inner)), left_(last), exit_code_(exit_code) {}
  const char *name() const override { return inner_->name(); }
  bool queues_on_device() const override { return inner_->queues_on_device(); }
  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    if (left_-- == 0) std::_Exit(exit_code_);
    return inner_->start(sends, receives);
  }
  void settle() override { inner_->settle(); }
  void abandon() override { inner_->abandon(); }

 private:
  std::unique_ptr<Transport> inner_;
  int left_;
  int exit_code_;
};

}  // namespace

std::unique_ptr<Transport> make_gather_transport(const Communicator &communicator, const Device *device) {
  std::unique_ptr<Transport> made = std::make_unique<GatherTransport>(communicator);
  return device == nullptr ? std::move(made) : make_staged_transport(std::move(made), *device);
}

std::unique_ptr<Transport> make_leaving_transport(std::unique_ptr<Transport> inner, int last, int exit_code) {
  return std::make_unique<LeavingTransport>(std::move(inner), last, exit_code);
}

}  // namespace flashring::test
