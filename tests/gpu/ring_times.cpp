#include "gpu/ring_times.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <numeric>

#include "flashring/buffer.hpp"
#include "flashring/check.hpp"
#include "gpu/moments.hpp"

namespace flashring::test {
namespace {

/// Seconds of timed passes, as far as that takes a sensible number of them.
constexpr double enough = 0.1;
constexpr double least_runs = 3;
constexpr double most_runs = 30;
/// Messages of a block are its payload, scalars and columns; a state is one message.
constexpr std::size_t messages_of_block = 3;

double total(const std::vector<double> &numbers) { return std::accumulate(numbers.begin(), numbers.end(), 0.0); }

double bytes_of(const std::vector<Message> &messages) {
  double bytes = 0;
  for (const Message &message : messages) bytes += static_cast<double>(message.bytes);
  return bytes;
}

class DoneExchange final : public Exchange {
 public:
  bool test() override { return true; }
  void wait() override {}
};

/// Numbers of the moments of an exchange.
struct Marks {
  int start = 0, reached = 0, arrived = 0;
};

class MarkedExchange final : public Exchange {
 public:
  MarkedExchange(std::unique_ptr<Exchange> inner, Moments &moments, Marks &marks)
      : inner_(std::move(inner)), moments_(moments), marks_(marks) {}
  bool test() override { return inner_->test(); }
  void wait() override {
    marks_.reached = moments_.mark();
    inner_->wait();
    marks_.arrived = moments_.mark();
  }

 private:
  std::unique_ptr<Exchange> inner_;
  Moments &moments_;
  Marks &marks_;
};

/// Passes everything on, and remembers it or keeps it back.
class RecordingTransport final : public Transport {
 public:
  enum class Mode { pass_on, record, keep_back };

  RecordingTransport(Transport &inner, const Device *device) : inner_(inner), moments_(device) {}
  const char *name() const override { return inner_.name(); }
  bool queues_on_device() const override { return inner_.queues_on_device(); }
  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    if (mode == Mode::keep_back) return std::make_unique<DoneExchange>();
    ++passed_on;
    if (mode == Mode::pass_on) return inner_.start(sends, receives);
    recorded.push_back({{sends.begin(), sends.end()}, {receives.begin(), receives.end()}});
    Marks &marks = marks_.emplace_back();
    marks.start = moments_.mark();
    return std::make_unique<MarkedExchange>(inner_.start(sends, receives), moments_, marks);
  }
  void settle() override { inner_.settle(); }
  void abandon() override { inner_.abandon(); }

  /// The recorded exchanges, each after the one before it. Their buffers are those of the ring that made them.
  void repeat() {
    for (const Recorded &exchange : recorded) inner_.start(exchange.sends, exchange.receives)->wait();
  }

  /// When the recorded pass is through.
  std::vector<ExchangeTime> timeline() const {
    std::vector<ExchangeTime> times;
    for (std::size_t i = 0; i < marks_.size(); ++i) {
      const auto since_first = [&](int moment) { return moments_.seconds(marks_.front().start, moment); };
      times.push_back({recorded[i].sends.size() == messages_of_block, since_first(marks_[i].start),
                       since_first(marks_[i].reached), since_first(marks_[i].arrived)});
      FLASHRING_CHECK(times[i].start <= times[i].reached && times[i].waited() >= 0, "exchange ", i, " of a pass ended ",
                      "before it began");
    }
    return times;
  }

  Mode mode = Mode::pass_on;
  std::vector<Recorded> recorded;
  int passed_on = 0;

 private:
  Transport &inner_;
  Moments moments_;
  std::deque<Marks> marks_;  // whose places stay, as exchanges write there
};

/// Seconds of `work`, which ends in an agreement of all ranks: the median of the rank where it is largest.
double seconds_of(const Communicator &communicator, const std::function<void()> &work) {
  const auto once = [&] {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const double first = communicator.max(once());
  const double runs = std::clamp(std::ceil(enough / first), least_runs, most_runs);  // the same on all ranks
  std::vector<double> seconds;
  while (static_cast<double>(seconds.size()) < runs) seconds.push_back(once());
  std::sort(seconds.begin(), seconds.end());
  return communicator.max(seconds[seconds.size() / 2]);
}

}  // namespace

/// A block moves during the step in which it is sent, the state of step s (from 1 on) during the next one.
RingLoad load_of(std::vector<double> pairs, const std::vector<Recorded> &recorded) {
  RingLoad load{std::move(pairs), {}};
  load.bytes.resize(load.pairs.size() + 1);
  std::size_t blocks = 0;
  std::size_t states = 1;
  for (const Recorded &one : recorded) {
    const std::size_t during = one.sends.size() == messages_of_block ? blocks++ : ++states;
    load.bytes.at(during) += std::max(bytes_of(one.sends), bytes_of(one.receives));
  }
  return load;
}

double modelled_seconds(const RingLoad &load, double compute, double moving) {
  const double pairs = total(load.pairs);
  const double bytes = total(load.bytes);
  const auto part = [](double seconds, double of, double all) { return all > 0 ? seconds * of / all : 0; };
  double seconds = part(moving, load.bytes.back(), bytes);
  for (std::size_t step = 0; step < load.pairs.size(); ++step)
    seconds += std::max(part(compute, load.pairs[step], pairs), part(moving, load.bytes[step], bytes));
  return seconds;
}

double RingTimes::hidden() const {
  const double shorter = std::min(compute, moving);
  return shorter > 0 ? std::clamp((compute + moving - both) / shorter, 0.0, 1.0) : 0;
}

double RingTimes::misfit() const { return both > 0 && model > 0 ? std::max(both / model, model / both) : 0; }

RingTimes measure_ring(const RingProblem &problem, const Backend &backend, const Communicator &communicator,
                       Transport &transport) {
  const auto rows = RowPartition::contiguous(static_cast<std::int64_t>(problem.own_rows), communicator.size());
  RecordingTransport recorder(transport, backend.device);
  RingRun run(problem, backend, communicator, recorder, rows, rows);
  run.pass();  // connections and buffers are made
  recorder.mode = RecordingTransport::Mode::record;
  const PassReport report = run.pass();
  recorder.mode = RecordingTransport::Mode::pass_on;
  const RingLoad load = load_of(run.pairs_of_steps(), recorder.recorded);
  FLASHRING_CHECK(total(load.pairs) == report.pairs && total(load.bytes) >= report.bytes_sent,
                  "the steps of a pass are not the pass");

  const double agreement = seconds_of(communicator, [&] { communicator.agree([] {}); });
  const auto alone = [&](const std::function<void()> &work) {
    return std::max(0.0, seconds_of(communicator, work) - agreement);
  };
  RingTimes times;
  times.timeline = recorder.timeline();
  for (const ExchangeTime &exchange : times.timeline) times.waited += exchange.waited();
  times.both = alone([&] { run.pass(); });
  recorder.mode = RecordingTransport::Mode::keep_back;
  const int before = recorder.passed_on;
  times.compute = alone([&] { run.pass(); });
  FLASHRING_CHECK(recorder.passed_on == before, "messages went while only computing was timed");
  const auto move = [&] {
    recorder.repeat();
    communicator.agree([&] {
      transport.settle();
      wait_for(backend.device);
    });
  };
  if (!recorder.recorded.empty()) times.moving = alone(move);  // the same on all ranks, which start as many exchanges
  times.model = communicator.max(modelled_seconds(load, times.compute, times.moving));
  times.pairs = communicator.sum(report.pairs);
  times.bytes = communicator.max(total(load.bytes));
  return times;
}

}  // namespace flashring::test
