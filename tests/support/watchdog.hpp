// Watchdog: ends a test that takes longer than allowed, because a rank that waits for a message that never comes would
// wait for ever.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace flashring::test {

/// Seconds that one test may take: FLASHRING_TEST_SECONDS, otherwise 50.
inline double test_seconds() {
  const char *text = std::getenv("FLASHRING_TEST_SECONDS");
  const double seconds = text == nullptr ? 0 : std::atof(text);
  return seconds > 0 ? seconds : 50;
}

/// Calls `expired(what)` from a thread of its own when `stop` does not follow on `start(what)` in time.
class Watchdog {
 public:
  explicit Watchdog(std::function<void(const std::string &)> expired)
      : expired_(std::move(expired)), thread_([this] { watch(); }) {}
  Watchdog(const Watchdog &) = delete;
  Watchdog &operator=(const Watchdog &) = delete;
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void start(const std::string &what) { set(what); }
  void stop() { set(""); }

 private:
  using Clock = std::chrono::steady_clock;

  void set(const std::string &what) {
    {
      const std::lock_guard lock(mutex_);
      what_ = what;
      deadline_ =
          Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(test_seconds()));
    }
    changed_.notify_one();
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      if (what_.empty()) {
        changed_.wait(lock);
      } else if (Clock::now() >= deadline_) {
        expired_(what_);
        return;
      } else {
        changed_.wait_until(lock, deadline_);
      }
    }
  }

  std::function<void(const std::string &)> expired_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string what_;
  Clock::time_point deadline_;
  bool ending_ = false;
  std::thread thread_;  // last: it reads the members above
};

}  // namespace flashring::test
