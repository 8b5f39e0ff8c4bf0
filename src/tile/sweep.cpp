#include "tile/sweep.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace flashring {

/// Scratch of one thread.
struct Sweep::Worker {
  explicit Worker(const Device *device) : scratch(device) {}
  AlignedBuffer scratch;  // the backend's
  SweepCount count;
};

namespace {

/// What two threads write lies on cache lines of their own (two of them: lines are fetched in pairs).
constexpr std::size_t apart = 128;

/// A pair that was handed out, with its place in the queue of either tile row.
struct Ticket {
  TilePair pair;
  std::int64_t own = 0;
  std::int64_t visiting = 0;
};

/// Consecutive pairs handed out together: a thread asks less often for something that all threads write.
struct Batch {
  static constexpr int most = 4;
  Ticket tickets[most];
  int count = 0;
};

/// Busy waiting that gives the core away after a while: with more threads than cores the other one must run.
void wait_until(const std::atomic<std::int64_t> &counter, std::int64_t value) {
  for (int spin = 0; counter.load(std::memory_order_acquire) != value;)
    if (spin < 200)
      ++spin;
    else
      std::this_thread::yield();
}

/// Sets the bit of a pair; other threads set other bits of the word.
void set_bit(const PairList &pairs, const TilePair &pair, std::uint64_t *bits) {
  const std::int64_t tiles = pairs.visiting_tiles_of_sequence();
  const std::int64_t visiting = pair.visiting % tiles;
  std::atomic_ref<std::uint64_t> word(bits[pair.own * kept_words(tiles) + visiting / 64]);
  word.fetch_or(std::uint64_t{1} << (visiting % 64), std::memory_order_relaxed);
}

/// The arrays of a side from tile `begin` on, with the payload of those tiles and `scalars` numbers of each row.
TileSide side_from(const Backend &backend, const TileShape &shape, const TileSide &side, int scalars, std::size_t begin,
                   const std::byte *payload) {
  const std::size_t rows = static_cast<std::size_t>(backend.tile_rows) * column_bytes(shape.precision);
  const auto from = [begin](auto *array, std::size_t tile_bytes) {
    return array == nullptr ? nullptr : array + begin * tile_bytes;
  };
  return {side.tiles + begin, payload, from(side.pass_scalars, static_cast<std::size_t>(scalars) * rows),
          from(side.columns, static_cast<std::size_t>(row_rule(shape.row).value_columns(shape.columns)) * rows),
          from(side.state, state_bytes(backend, shape))};
}

}  // namespace

std::int64_t tiles_of_part(std::size_t part_bytes, std::size_t payload_bytes) {
  return std::max<std::int64_t>(2, static_cast<std::int64_t>(part_bytes / payload_bytes) / 2 * 2);
}

/// Hands out pairs in list order and keeps, per tile row, how many were handed out and how many accepted. Where own and
/// visiting states are one array (a square visit) both sides queue at the same counters.
class Sweep::Tickets {
 public:
  Tickets(const SweepWork &work, int threads)
      : shared_(work.own.state != nullptr && work.own.state == work.visiting.state),
        next_(work.pairs.begin()),
        end_(work.pairs.end()),
        own_(work.pairs.own().size()),
        visiting_(shared_ ? 0 : work.pairs.visiting().size()) {
    // Few enough for the batches of all threads to share no tile row, by half.
    batch_ = std::clamp(work.pairs.disjoint() / (2 * threads), 1, Batch::most);
  }

  bool take(Batch &batch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (batch.count = 0; batch.count < batch_ && next_ != end_; ++batch.count, ++next_) {
      Ticket &ticket = batch.tickets[batch.count];
      ticket.pair = *next_;
      if (has_own(ticket.pair.sides)) ticket.own = row(ticket.pair, Sides::own).issued++;
      if (has_visiting(ticket.pair.sides)) ticket.visiting = row(ticket.pair, Sides::visiting).issued++;
    }
    return batch.count > 0;
  }

  /// Pairs of the list that were left out; all have been taken.
  double skipped() const { return static_cast<double>(next_.skipped()); }

  /// Returns when all pairs before this one have added to the tile row of that side.
  void wait_for(const Ticket &ticket, Sides side) {
    wait_until(row(ticket.pair, side).accepted, has_own(side) ? ticket.own : ticket.visiting);
  }
  void pass_on(const Ticket &ticket, Sides side) {
    row(ticket.pair, side)
        .accepted.store((has_own(side) ? ticket.own : ticket.visiting) + 1, std::memory_order_release);
  }

 private:
  struct alignas(apart) Queue {
    std::int64_t issued = 0;
    std::atomic<std::int64_t> accepted{0};
  };
  Queue &row(const TilePair &pair, Sides side) {
    if (side == Sides::own) return own_[static_cast<std::size_t>(pair.own)];
    return (shared_ ? own_ : visiting_)[static_cast<std::size_t>(pair.visiting)];
  }

  bool shared_;
  int batch_;
  std::mutex mutex_;
  PairList::Iterator next_, end_;
  std::vector<Queue> own_, visiting_;
};

Sweep::Sweep(const Backend &backend, int threads, std::size_t part_bytes)
    : backend_(backend),
      threads_(threads),
      part_bytes_(part_bytes),
      own_part_(backend.device),
      visiting_part_(backend.device) {
  for (int t = 0; t < threads; ++t) workers_.push_back(std::make_unique<Worker>(backend.device));
}

Sweep::~Sweep() = default;

void Sweep::work_through(const SweepWork &work, Tickets &tickets, Worker &worker, const std::function<void()> *poll) {
  struct Turn {
    Tickets &tickets;
    const Ticket *ticket;
  } turn{tickets, nullptr};
  const auto take = [](void *context, Sides side) {
    Turn &t = *static_cast<Turn *>(context);
    t.tickets.wait_for(*t.ticket, side);
  };
  const auto pass_on = [](void *context, Sides side) {
    Turn &t = *static_cast<Turn *>(context);
    t.tickets.pass_on(*t.ticket, side);
  };
  TileCall call{work.shape, work.own, work.visiting, nullptr, 1, worker.scratch.data(), {take, pass_on, &turn}};
  const std::vector<TileInfo> &own = work.pairs.own();
  const std::vector<TileInfo> &visiting = work.pairs.visiting();
  Batch batch;
  SweepCount count;
  while (tickets.take(batch))
    for (int n = 0; n < batch.count; ++n) {
      turn.ticket = &batch.tickets[n];
      const TilePair &pair = turn.ticket->pair;
      std::uint8_t touched = 0;
      call.pairs = &pair;
      if (work.touched != nullptr) call.touched = &touched;
      backend_.evaluate(call);
      if (touched != 0) set_bit(work.pairs, pair, work.touched);
      ++count.tile_pairs;
      count.pairs += static_cast<double>(own[static_cast<std::size_t>(pair.own)].rows) *
                     visiting[static_cast<std::size_t>(pair.visiting)].rows;
      if (poll != nullptr) (*poll)();
    }
  worker.count = count;
}

SweepCount Sweep::queue(const SweepWork &work) {
  if (work.pairs.own().empty() || work.pairs.visiting().empty()) return {};
  for (int s = 0; s < work.pairs.meeting().own; ++s) queue_sequence(work, s);
  const PairList::Count count = work.pairs.count();
  return {count.points, count.tiles, count.skipped};
}

/// Parts of points of the host follow each other in the queue, which keeps their order: no copy overtakes the call
/// before it.
void Sweep::queue_sequence(const SweepWork &work, int sequence) {
  const PairList &pairs = work.pairs;
  const Meeting meeting = pairs.meeting();
  const std::size_t own_tiles = pairs.own().size() / static_cast<std::size_t>(meeting.own);
  const std::size_t visiting_tiles = pairs.visiting().size() / static_cast<std::size_t>(meeting.visiting);
  const std::size_t own_begin = static_cast<std::size_t>(sequence) * own_tiles;
  const std::size_t visiting_begin = static_cast<std::size_t>(meeting.met_by(sequence)) * visiting_tiles;
  const std::size_t part =
      work.host_points ? static_cast<std::size_t>(tiles_of_part(part_bytes_, backend_.payload_bytes(work.shape)))
                       : std::max(own_tiles, visiting_tiles);
  const bool square = pairs.pattern() == PairPattern::square;
  const RowRule &rule = row_rule(work.shape.row);
  const int own_scalars = rule.own_scalars > 0 ? rule.own_scalars : rule.scalars;
  const auto bits = [&](auto *array, std::size_t tile) {  // parts have none
    return array == nullptr ? nullptr
                            : array + tile * static_cast<std::size_t>(kept_words(pairs.visiting_tiles_of_sequence()));
  };
  for (std::size_t i = 0; i < own_tiles; i += part) {
    const std::size_t rows = std::min(part, own_tiles - i);
    const std::byte *own = payload_of(work, work.own, own_begin + i, rows, own_part_);
    for (std::size_t j = square ? i : 0; j < visiting_tiles; j += part) {
      const bool itself = square && i == j;
      const std::size_t columns = std::min(part, visiting_tiles - j);
      const std::byte *visiting =
          itself ? own : payload_of(work, work.visiting, visiting_begin + j, columns, visiting_part_);
      const PairPattern pattern = square && !itself ? PairPattern::rectangle : pairs.pattern();
      backend_.device->evaluate(
          {work.shape, side_from(backend_, work.shape, work.own, own_scalars, own_begin + i, own),
           side_from(backend_, work.shape, work.visiting, rule.scalars, visiting_begin + j, visiting),
           static_cast<std::int32_t>(rows), static_cast<std::int32_t>(columns), pattern, pairs.sides(),
           bits(work.kept, own_begin + i), workers_.front()->scratch.data(), bits(work.touched, own_begin + i)});
    }
  }
}

const std::byte *Sweep::payload_of(const SweepWork &work, const TileSide &side, std::size_t begin, std::size_t tiles,
                                   AlignedBuffer &buffer) {
  const std::size_t tile = backend_.payload_bytes(work.shape);
  const std::byte *payload = side.payload + begin * tile;
  if (!work.host_points) return payload;
  buffer.resize(tiles * tile);
  backend_.device->upload(buffer.data(), payload, buffer.size());
  bytes_copied_ += buffer.size();
  return buffer.data();
}

std::size_t Sweep::part_payload(const TileShape &shape, std::size_t host_tiles) const {
  const std::size_t tile = backend_.payload_bytes(shape);
  return std::min(static_cast<std::size_t>(tiles_of_part(part_bytes_, tile)), host_tiles) * tile;
}

bool Sweep::lacks(const TileShape &shape, std::size_t host_tiles) const {
  return workers_.front()->scratch.capacity() < backend_.scratch_bytes(shape) ||
         own_part_.capacity() < part_payload(shape, host_tiles) ||
         visiting_part_.capacity() < part_payload(shape, host_tiles);
}

void Sweep::reserve(const TileShape &shape, std::size_t host_tiles) {
  for (const auto &worker : workers_) worker->scratch.resize(backend_.scratch_bytes(shape));
  for (AlignedBuffer *part : {&own_part_, &visiting_part_}) part->resize(part_payload(shape, host_tiles));
}

void Sweep::clear() {
  for (const auto &worker : workers_) worker->scratch.clear();
  own_part_.clear();
  visiting_part_.clear();
}

SweepCount Sweep::run(const SweepWork &work, const std::function<void()> &poll) {
  const std::size_t tiles = work.host_points ? std::max(work.pairs.own().size(), work.pairs.visiting().size()) : 0;
  if (lacks(work.shape, tiles)) reserve(work.shape, tiles);
  if (backend_.device != nullptr) return queue(work);
  Tickets tickets(work, threads_);
  // What `poll` throws waits for the end: pairs that were handed out must be done, and nothing may leave a parallel
  // region.
  std::exception_ptr failure;
  const std::function<void()> careful = [&] {
    if (failure != nullptr) return;
    try {
      poll();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  if (threads_ == 1) {
    work_through(work, tickets, *workers_.front(), &careful);
  } else {
#pragma omp parallel for schedule(static, 1) num_threads(threads_)
    for (int t = 0; t < threads_; ++t)  // iteration 0 runs on the calling thread: only it may talk to the transport
      work_through(work, tickets, *workers_[static_cast<std::size_t>(t)], t == 0 ? &careful : nullptr);
  }
  if (failure != nullptr) std::rethrow_exception(failure);
  SweepCount count;
  for (const auto &worker : workers_) {
    count.pairs += worker->count.pairs;
    count.tile_pairs += worker->count.tile_pairs;
  }
  count.skipped = tickets.skipped();
  return count;
}

}  // namespace flashring
