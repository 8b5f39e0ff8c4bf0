// Device memory over a transport that knows the host's alone: every message that is not there goes through a copy.
//
// Cost beside the messages: two copies over the bus, and the queue of the device is waited for before a send and after
// a receive, so that nothing is computed meanwhile but what was queued before.
#include <utility>

#include "flashring/buffer.hpp"
#include "flashring/transport.hpp"

namespace flashring {
namespace {

bool is_copied(const Message &message) { return message.bytes > 0 && !message.on_host; }

/// Copies of messages in memory of the host.
using Copies = std::vector<std::vector<std::byte>>;

class StagedExchange final : public Exchange {
 public:
  /// `abandoned` keeps the copies of an exchange that ends before it is through: a library may still read them.
  StagedExchange(Transport &inner, const Device &device, std::vector<Copies> &abandoned, std::span<const Message> sends,
                 std::span<const Message> receives)
      : device_(device), abandoned_(abandoned), arriving_(receives.begin(), receives.end()) {
    const std::vector<Message> outgoing = stage(sends);
    for (std::size_t i = 0; i < sends.size(); ++i)
      if (is_copied(sends[i])) device.download(outgoing[i].data, sends[i].data, sends[i].bytes);
    wait_for(&device);
    staged_ = stage(receives);
    exchange_ = inner.start(outgoing, staged_);
  }
  ~StagedExchange() override {
    if (!through_) abandoned_.push_back(std::move(copies_));
  }
  StagedExchange(const StagedExchange &) = delete;
  StagedExchange &operator=(const StagedExchange &) = delete;

  bool test() override { return exchange_->test(); }

  void wait() override {
    exchange_->wait();
    through_ = true;
    for (std::size_t i = 0; i < arriving_.size(); ++i)
      if (is_copied(arriving_[i])) device_.upload(arriving_[i].data, staged_[i].data, arriving_[i].bytes);
    wait_for(&device_);
  }

 private:
  /// The same messages with memory of the host.
  std::vector<Message> stage(std::span<const Message> messages) {
    std::vector<Message> staged(messages.begin(), messages.end());
    for (Message &message : staged) {
      if (!is_copied(message)) continue;
      copies_.emplace_back(message.bytes);
      message.data = copies_.back().data();
    }
    return staged;
  }

  const Device &device_;
  std::vector<Copies> &abandoned_;
  Copies copies_;
  std::vector<Message> arriving_, staged_;
  std::unique_ptr<Exchange> exchange_;
  bool through_ = false;
};

class StagedTransport final : public Transport {
 public:
  StagedTransport(std::unique_ptr<Transport> inner, const Device &device) : inner_(std::move(inner)), device_(device) {}
  const char *name() const override { return inner_->name(); }
  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    return std::make_unique<StagedExchange>(*inner_, device_, abandoned_, sends, receives);
  }
  void settle() override { inner_->settle(); }
  void abandon() override { inner_->abandon(); }

 private:
  std::vector<Copies> abandoned_;
  std::unique_ptr<Transport> inner_;
  const Device &device_;
};

}  // namespace

std::unique_ptr<Transport> make_staged_transport(std::unique_ptr<Transport> inner, const Device &device) {
  return std::make_unique<StagedTransport>(std::move(inner), device);
}

}  // namespace flashring
