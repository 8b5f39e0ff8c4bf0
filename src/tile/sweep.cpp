#include "tile/sweep.hpp"

#include <atomic>
#include <mutex>
#include <thread>

namespace flashring {

/// Scratch of one thread.
struct Sweep::Worker {
  AlignedBuffer scratch;        // the backend's
  AlignedBuffer own, visiting;  // (words, T) each: sums of one pair of tiles
  TilePair pair;                // that pair, as tiles 0 and 0
  double pairs = 0;
};

namespace {

/// A pair that was handed out, with its place in the queue of either tile row.
struct Ticket {
  TilePair pair;
  std::int64_t own = 0;
  std::int64_t visiting = 0;
};

/// Busy waiting that gives the core away after a while: with more threads than cores the other one must run.
void wait_until(const std::atomic<std::int64_t> &counter, std::int64_t value) {
  for (int spin = 0; counter.load(std::memory_order_acquire) != value; ++spin)
    if (spin > 200) std::this_thread::yield();
}

}  // namespace

/// Hands out pairs in list order and keeps, per tile row, how many were handed out and how many accepted. Where own and
/// visiting states are one array (a square visit) both sides queue at the same counters.
class Sweep::Tickets {
 public:
  explicit Tickets(const SweepWork &work)
      : shared_(work.own.state != nullptr && work.own.state == work.visiting.state),
        next_(work.pairs.begin()),
        end_(work.pairs.end()),
        own_(work.own_tiles),
        visiting_(shared_ ? 0 : work.visiting_tiles) {}

  bool take(Ticket &ticket) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!(next_ != end_)) return false;
    ticket.pair = *next_;
    ++next_;
    if (has_own(ticket.pair.sides)) ticket.own = own_[at(ticket.pair.own)].issued++;
    if (has_visiting(ticket.pair.sides)) ticket.visiting = visiting_row(ticket.pair).issued++;
    return true;
  }

  template <class Accept>
  void accept_own(const Ticket &ticket, Accept accept) {
    accept_at(own_[at(ticket.pair.own)], ticket.own, accept);
  }
  template <class Accept>
  void accept_visiting(const Ticket &ticket, Accept accept) {
    accept_at(visiting_row(ticket.pair), ticket.visiting, accept);
  }

 private:
  struct Queue {
    std::int64_t issued = 0;
    std::atomic<std::int64_t> accepted{0};
  };
  static std::size_t at(std::int32_t tile) { return static_cast<std::size_t>(tile); }
  Queue &visiting_row(const TilePair &pair) { return (shared_ ? own_ : visiting_)[at(pair.visiting)]; }

  template <class Accept>
  static void accept_at(Queue &queue, std::int64_t ticket, Accept accept) {
    wait_until(queue.accepted, ticket);
    accept();
    queue.accepted.store(ticket + 1, std::memory_order_release);
  }

  bool shared_;
  std::mutex mutex_;
  PairList::Iterator next_, end_;
  std::vector<Queue> own_, visiting_;
};

Sweep::Sweep(const Backend &backend, int threads) : backend_(backend), threads_(threads) {
  for (int t = 0; t < threads; ++t) workers_.push_back(std::make_unique<Worker>());
}

Sweep::~Sweep() = default;

void Sweep::reserve(const TileShape &shape, std::size_t state_bytes) {
  for (const auto &worker : workers_) {
    worker->scratch.resize(backend_.scratch_bytes(shape));
    worker->own.resize(state_bytes);
    worker->visiting.resize(state_bytes);
    worker->pairs = 0;
  }
}

/// The sides moved to one pair of tiles, with scratch sums in place of the states.
TileCall Sweep::local_call(const SweepWork &work, const TilePair &pair, Worker &worker) const {
  const TileShape &shape = work.shape;
  const auto rows = static_cast<std::size_t>(backend_.tile_rows);
  const std::size_t values = rows * column_bytes(shape.precision);
  const std::size_t payload = backend_.payload_bytes(shape);
  const auto scalars = static_cast<std::size_t>(row_rule(shape.row).scalars);
  const auto at_tile = [&](const TileSide &side, std::int32_t tile, std::byte *sums) {
    const auto t = static_cast<std::size_t>(tile);
    const auto at = [&](const std::byte *p, std::size_t stride) { return p == nullptr ? nullptr : p + t * stride; };
    return TileSide{side.tiles + t,
                    at(side.payload, payload),
                    nullptr,
                    at(side.pass_scalars, scalars * values),
                    at(side.columns, static_cast<std::size_t>(shape.columns) * values),
                    sums};
  };
  return {shape,
          at_tile(work.own, pair.own, worker.own.data()),
          at_tile(work.visiting, pair.visiting, worker.visiting.data()),
          &worker.pair,
          1,
          worker.scratch.data(),
          nullptr};
}

void Sweep::work_through(const SweepWork &work, Tickets &tickets, Worker &worker, const std::function<void()> *poll) {
  const RowRule &rule = row_rule(work.shape.row);
  const int pass = work.shape.pass;
  const int columns = work.shape.columns;
  const auto rows = static_cast<std::size_t>(backend_.tile_rows);
  const auto merge = [&](std::byte *states, std::int32_t tile, const AlignedBuffer &sums) {
    rule.merge(pass, columns, rows, states + static_cast<std::size_t>(tile) * sums.size(), sums.data());
  };
  Ticket ticket;
  while (tickets.take(ticket)) {
    const TilePair &pair = ticket.pair;
    worker.pair = {0, 0, pair.sides, pair.masked};
    if (has_own(pair.sides)) rule.identity(pass, columns, rows, worker.own.data());
    if (has_visiting(pair.sides)) rule.identity(pass, columns, rows, worker.visiting.data());
    const TileCall call = local_call(work, pair, worker);
    backend_.evaluate(call);
    worker.pairs += static_cast<double>(call.own.tiles->rows) * call.visiting.tiles->rows;
    if (has_own(pair.sides)) tickets.accept_own(ticket, [&] { merge(work.own.state, pair.own, worker.own); });
    if (has_visiting(pair.sides))
      tickets.accept_visiting(ticket, [&] { merge(work.visiting.state, pair.visiting, worker.visiting); });
    if (poll != nullptr) (*poll)();
  }
}

double Sweep::run(const SweepWork &work, const std::function<void()> &poll) {
  const RowRule &rule = row_rule(work.shape.row);
  const auto words = static_cast<std::size_t>(rule.state_words(work.shape.pass, work.shape.columns));
  reserve(work.shape, words * static_cast<std::size_t>(backend_.tile_rows) * 8);
  Tickets tickets(work);
  if (threads_ == 1) {
    work_through(work, tickets, *workers_.front(), &poll);
  } else {
#pragma omp parallel for schedule(static, 1) num_threads(threads_)
    for (int t = 0; t < threads_; ++t)  // iteration 0 runs on the calling thread: only it may talk to the transport
      work_through(work, tickets, *workers_[static_cast<std::size_t>(t)], t == 0 ? &poll : nullptr);
  }
  double pairs = 0;
  for (const auto &worker : workers_) pairs += worker->pairs;
  return pairs;
}

}  // namespace flashring
