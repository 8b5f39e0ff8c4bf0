// The ring loop: while the tiles of the visiting block are evaluated, the next block is on its way.
//
//   for step 0 .. S-1 (S = P, or P/2 + 1 when every pair of tiles is evaluated once):
//     start moving the visiting block to the left neighbour and the next one here
//     sweep its tile pairs, letting the transport progress between tiles
//     send the visiting rows' partial states home (direct), or on with their block (travel)
//
// Cost per rank: rows/P * N pairs (half of it when square), S-1 blocks of N/P (d + c) numbers sent, and as many states
// where the visiting side receives. Deadlock-free: every rank starts the same exchanges in the same order.
#include "flashring/ring.hpp"

#include <algorithm>
#include <chrono>

#include "flashring/check.hpp"
#include "tile/sweep.hpp"

namespace flashring {
namespace {

enum Channel : int { channel_payload, channel_pass_scalars, channel_columns, channel_state };

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// A block that is being visited: the home block itself, or one that came by.
struct Visitor {
  std::byte *payload = nullptr;
  std::byte *scalars = nullptr;
  std::byte *columns = nullptr;
};

struct Slot {
  explicit Slot(const Device *device) : payload(device), scalars(device), columns(device) {}
  AlignedBuffer payload, scalars, columns;
};

}  // namespace

PassReport &PassReport::operator+=(const PassReport &other) {
  pairs += other.pairs;
  tile_pairs += other.tile_pairs;
  tile_pairs_skipped += other.tile_pairs_skipped;
  seconds += other.seconds;
  wait_seconds += other.wait_seconds;
  bytes_sent += other.bytes_sent;
  bytes_copied += other.bytes_copied;
  return *this;
}

struct Ring::Buffers {
  Buffers(const Backend &backend, const RingOptions &options)
      : sweep(backend, std::max(1, options.threads), options.part_bytes),
        slots{Slot(backend.device), Slot(backend.device)},
        partial{AlignedBuffer(backend.device), AlignedBuffer(backend.device)},
        arriving(backend.device),
        kept(backend.device),
        touched(backend.device) {}
  Sweep sweep;
  Slot slots[2];             // visiting blocks: one being computed, one arriving
  AlignedBuffer partial[2];  // states of the visiting rows: one being computed, one being sent
  AlignedBuffer arriving;    // a state on its way here
  AlignedBuffer kept;        // TileBits of a step, on a device
  AlignedBuffer touched;
};

/// One pass under way.
struct Ring::Pass {
  Ring &ring;
  const TileShape &shape;
  Sides sides;
  TileBlock &own;
  TileBlock &sources;
  const TileChoice &choice;
  PassReport report;
  std::unique_ptr<Exchange> block_exchange;
  std::unique_ptr<Exchange> state_exchange;

  int rank() const { return ring.communicator_.rank(); }
  int ranks() const { return ring.communicator_.size(); }
  bool square() const { return &own == &sources && sides == Sides::both; }
  /// Other passes visit blocks that are not here.
  bool resident() const { return square() && !sources.resident().empty(); }
  std::size_t tiles_of(int owner) const {
    return static_cast<std::size_t>(count_tiles(sources.partition(), owner, sources.tile_rows(), sources.sequences()));
  }
  /// Of the rank that has most.
  static std::size_t most_tiles(const TileBlock &block) {
    std::int64_t most = 0;
    for (int r = 0; r < block.partition().ranks(); ++r)
      most = std::max(most, count_tiles(block.partition(), r, block.tile_rows(), block.sequences()));
    return static_cast<std::size_t>(most);
  }
  /// Whether points are the host's while all else is a device's.
  bool host_points() const { return sources.payload().device() != ring.backend_.device; }
  std::size_t state_bytes() const { return flashring::state_bytes(ring.backend_, shape); }
  std::size_t payload_bytes() const { return ring.backend_.payload_bytes(shape); }
  std::size_t scalar_bytes() const {
    return has_own(sides) ? static_cast<std::size_t>(row_rule(shape.row).scalars * sources.tile_rows()) *
                                column_bytes(shape.precision)
                          : 0;
  }
  std::size_t column_block_bytes() const {
    return has_own(sides)
               ? static_cast<std::size_t>(sources.tile_rows() * row_rule(shape.row).value_columns(shape.columns)) *
                     column_bytes(shape.precision)
               : 0;
  }

  void reset(AlignedBuffer &state, std::size_t tiles) const {
    state.resize(tiles * state_bytes());
    reset_states(ring.backend_, shape, tiles, state.data());
  }
  void merge(std::byte *into, const std::byte *from, std::size_t tiles) const {
    merge_states(ring.backend_, shape, tiles, into, from);
  }
  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) {
    for (const Message &message : sends) report.bytes_sent += static_cast<double>(message.bytes);
    return ring.transport_.start(sends, receives);
  }
  void wait(std::unique_ptr<Exchange> &exchange) {
    if (exchange == nullptr) return;
    const double before = now();
    exchange->wait();
    report.wait_seconds += now() - before;
    exchange.reset();
  }
  void poll() {
    if (block_exchange != nullptr) block_exchange->test();
    if (state_exchange != nullptr) state_exchange->test();
  }

  /// Starts moving block `owner`, held in `here`, to the left neighbour and the block after it into a slot. Resident
  /// payloads are here already.
  Visitor start_move(int owner, const Visitor &here, Slot &slot) {
    const int next = (owner + 1) % ranks();
    const std::size_t leaving = tiles_of(owner);
    const std::size_t coming = tiles_of(next);
    const std::size_t payload = resident() ? 0 : payload_bytes();
    const int left = (rank() + ranks() - 1) % ranks();
    const int right = (rank() + 1) % ranks();
    slot.payload.resize(coming * payload);
    slot.scalars.resize(coming * scalar_bytes());
    slot.columns.resize(coming * column_block_bytes());
    const Message sends[] = {{left, channel_payload, here.payload, leaving * payload, host_points()},
                             {left, channel_pass_scalars, here.scalars, leaving * scalar_bytes()},
                             {left, channel_columns, here.columns, leaving * column_block_bytes()}};
    const Message receives[] = {{right, channel_payload, slot.payload.data(), slot.payload.size(), host_points()},
                                {right, channel_pass_scalars, slot.scalars.data(), slot.scalars.size()},
                                {right, channel_columns, slot.columns.data(), slot.columns.size()}};
    block_exchange = start(sends, receives);
    if (resident())
      FLASHRING_REQUIRE(sources.resident()[static_cast<std::size_t>(next)].size() == coming * payload_bytes(),
                        "the resident block of rank ", next, " is not the one packed last");
    std::byte *points = resident() ? sources.resident()[static_cast<std::size_t>(next)].data() : slot.payload.data();
    return {points, slot.scalars.data(), slot.columns.data()};
  }

  void sweep(Visit &visit, std::size_t step, const Visitor &visitor, std::byte *state) {
    const bool on_device = ring.backend_.device != nullptr;
    const TileInfo *tiles = on_device ? sources.tile_list(visit.owner) : visit.pairs.visiting().data();
    SweepWork work{shape,
                   own.side(has_own(sides)),
                   {tiles, visitor.payload, visitor.scalars, visitor.columns, state},
                   visit.pairs,
                   host_points()};
    const std::span<std::uint64_t> touched = choose(visit.pairs, step);
    work.touched = touched.data();
    if (on_device && choice.kept != nullptr) work.kept = send_bits(choice.kept->steps[step], ring.buffers_->kept);
    if (on_device && !touched.empty()) work.touched = send_bits(touched, ring.buffers_->touched);
    Sweep &sweep = ring.buffers_->sweep;
    const std::size_t before = sweep.bytes_copied();
    const SweepCount count = sweep.run(work, [this] { poll(); });
    report.pairs += count.pairs;
    report.tile_pairs += count.tile_pairs;
    report.tile_pairs_skipped += count.skipped;
    report.bytes_copied += static_cast<double>(sweep.bytes_copied() - before);
    if (!on_device || touched.empty()) return;
    ring.backend_.device->download(reinterpret_cast<std::byte *>(touched.data()), ring.buffers_->touched.data(),
                                   touched.size_bytes());
    report.bytes_copied += static_cast<double>(touched.size_bytes());
  }

  /// The pairs of a step without those to be left out, and where those that are touched are written down, all 0.
  std::span<std::uint64_t> choose(PairList &pairs, std::size_t step) const {
    if (choice.kept != nullptr) pairs.keep_only(choice.kept->steps[step].data());
    if (choice.touched == nullptr) return {};
    if (choice.touched->steps.size() <= step) choice.touched->steps.resize(step + 1);
    std::vector<std::uint64_t> &bits = choice.touched->steps[step];
    bits.assign(own.tiles().size() * words_of_own_tile(pairs.visiting_tiles_of_sequence()), 0);
    return bits;
  }
  static std::size_t words_of_own_tile(std::int64_t visiting_tiles) {
    return static_cast<std::size_t>(kept_words(visiting_tiles));
  }
  /// Onto the device, in the order of its queue; the host's must stay until the pass is through.
  std::uint64_t *send_bits(std::span<const std::uint64_t> bits, AlignedBuffer &buffer) {
    if (bits.empty()) return nullptr;
    ring.backend_.device->upload(buffer.data(), reinterpret_cast<const std::byte *>(bits.data()), bits.size_bytes());
    report.bytes_copied += static_cast<double>(bits.size_bytes());
    return reinterpret_cast<std::uint64_t *>(buffer.data());
  }

  /// Takes in the state that was under way, then sends the partial state of this step.
  void route_state(int step, int steps, int owner, AlignedBuffer &partial) {
    const bool travel = ring.options_.route == Route::travel;
    AlignedBuffer &arriving = ring.buffers_->arriving;
    if (state_exchange != nullptr) {
      wait(state_exchange);
      if (travel)
        merge(partial.data(), arriving.data(), tiles_of(owner));
      else
        merge(sources.state().data(), arriving.data(), sources.tiles().size());
    }
    const bool home = !travel || step + 1 == steps;
    const int to = home ? owner : (rank() + ranks() - 1) % ranks();
    const int from = home ? (rank() + ranks() - step) % ranks() : (rank() + 1) % ranks();
    const std::size_t coming = home ? sources.tiles().size() : tiles_of((owner + 1) % ranks());
    arriving.resize(coming * state_bytes());
    const Message send{to, channel_state, partial.data(), partial.size()};
    const Message receive{from, channel_state, arriving.data(), arriving.size()};
    state_exchange = start({&send, 1}, {&receive, 1});
  }

  /// Every buffer with what this pass will ask of it, on any rank: a rank that has no room says so before the others
  /// wait for its messages, and nothing is allocated while a device works.
  void reserve(int steps) {
    const std::size_t coming = most_tiles(sources);
    Buffers &buffers = *ring.buffers_;
    std::vector<std::pair<AlignedBuffer *, std::size_t>> wanted;
    if (has_own(sides)) wanted.emplace_back(&own.state(), most_tiles(own) * state_bytes());
    if (has_visiting(sides)) wanted.emplace_back(&sources.state(), coming * state_bytes());
    for (int n = 0; n < std::min(2, steps - 1); ++n) {
      Slot &slot = buffers.slots[n];
      if (slot.payload.device() != sources.payload().device()) slot.payload = AlignedBuffer(sources.payload().device());
      wanted.emplace_back(&slot.payload, resident() ? 0 : coming * payload_bytes());
      wanted.emplace_back(&slot.scalars, coming * scalar_bytes());
      wanted.emplace_back(&slot.columns, coming * column_block_bytes());
      if (has_visiting(sides)) wanted.emplace_back(&buffers.partial[(n + 1) % 2], coming * state_bytes());
    }
    if (has_visiting(sides) && steps > 1) wanted.emplace_back(&buffers.arriving, coming * state_bytes());
    if (ring.backend_.device != nullptr) {
      const std::size_t bits =
          8 * most_tiles(own) * words_of_own_tile(static_cast<std::int64_t>(coming) / sources.sequences().count);
      wanted.emplace_back(&buffers.kept, choice.kept == nullptr ? 0 : bits);
      wanted.emplace_back(&buffers.touched, choice.touched == nullptr ? 0 : bits);
    }
    const std::size_t host_tiles = host_points() ? std::max(most_tiles(own), coming) : 0;
    const auto lacks = [](const auto &w) { return w.first->capacity() < w.second; };
    if (std::none_of(wanted.begin(), wanted.end(), lacks) && !buffers.sweep.lacks(shape, host_tiles))
      return;  // on no rank
    try {
      ring.communicator_.agree([&] {
        for (const auto &[buffer, bytes] : wanted) buffer->resize(bytes);
        buffers.sweep.reserve(shape, host_tiles);
      });
    } catch (const Error &) {
      for (const auto &[buffer, bytes] : wanted) buffer->clear();  // all ranks lack the same again
      buffers.sweep.clear();
      throw;
    }
  }

  void run() {
    const Schedule schedule{own.partition(), sources.partition(),
                            rank(),          own.tile_rows(),
                            sides,           square(),
                            shape.mask,      tiles_of_group(ring.backend_.payload_bytes(shape)),
                            own.sequences(), sources.sequences()};
    const int steps = schedule.steps();
    reserve(steps);
    if (has_own(sides)) reset(own.state(), own.tiles().size());
    if (has_visiting(sides) && !square()) reset(sources.state(), sources.tiles().size());
    Visitor here{sources.payload().data(), sources.pass_scalars().data(), sources.columns().data()};
    for (int step = 0; step < steps; ++step) {
      Visit visit = schedule.visit(step);
      Visitor next;
      if (step + 1 < steps) next = start_move(visit.owner, here, ring.buffers_->slots[step % 2]);
      AlignedBuffer &partial = ring.buffers_->partial[step % 2];
      std::byte *state = nullptr;
      if (has_visiting(sides) && step == 0) state = sources.state().data();
      if (has_visiting(sides) && step > 0) {
        reset(partial, visit.pairs.visiting().size());
        state = partial.data();
      }
      sweep(visit, static_cast<std::size_t>(step), here, state);
      wait(block_exchange);
      if (has_visiting(sides) && step > 0) route_state(step, steps, visit.owner, partial);
      here = next;
    }
    if (state_exchange != nullptr) {
      wait(state_exchange);
      merge(sources.state().data(), ring.buffers_->arriving.data(), sources.tiles().size());
    }
    if (ring.backend_.device != nullptr) settle();
  }

  /// What a device told since the last copy is told to all ranks. A rank that failed gives its messages up before it
  /// waits for the agreement of the others, who may be waiting for these.
  void settle() {
    ring.communicator_.agree([&] {
      try {
        ring.transport_.settle();
        wait_for(ring.backend_.device);
      } catch (const Error &) {
        ring.transport_.abandon();
        throw;
      }
    });
  }
};

Ring::Ring(const Communicator &communicator, Transport &transport, const Backend &backend, RingOptions options)
    : communicator_(communicator),
      transport_(transport),
      backend_(backend),
      options_(options),
      buffers_(std::make_unique<Buffers>(backend, options)) {}

Ring::~Ring() = default;

void Ring::make_resident(const TileShape &shape, TileBlock &block) {
  const int rank = communicator_.rank();
  const int ranks = communicator_.size();
  const Schedule schedule{block.partition(), block.partition(), rank, block.tile_rows(), Sides::both, true, {}};
  std::vector<AlignedBuffer> &resident = block.resident();
  while (resident.size() < static_cast<std::size_t>(ranks)) resident.emplace_back(block.payload().device());
  communicator_.agree([&] {
    for (int step = 1; step < schedule.steps(); ++step) {
      const int owner = (rank + step) % ranks;
      resident[static_cast<std::size_t>(owner)].resize(
          static_cast<std::size_t>(count_tiles(block.partition(), owner, block.tile_rows(), block.sequences())) *
          backend_.payload_bytes(shape));
    }
  });
  for (int step = 1; step < schedule.steps(); ++step) {
    const int owner = (rank + step) % ranks;
    AlignedBuffer &buffer = resident[static_cast<std::size_t>(owner)];
    const bool on_host = buffer.device() != backend_.device;
    const Message send{(rank + ranks - step) % ranks, channel_payload, block.payload().data(), block.payload().size(),
                       on_host};
    const Message receive{owner, channel_payload, buffer.data(), buffer.size(), on_host};
    transport_.start({&send, 1}, {&receive, 1})->wait();
  }
}

PassReport Ring::run(const TileShape &shape, Sides sides, TileBlock &own, TileBlock &sources,
                     const TileChoice &choice) {
  FLASHRING_REQUIRE(own.partition().ranks() == communicator_.size(), own.partition().ranks(), " ranks");
  FLASHRING_REQUIRE(backend_.supports(shape), "backend ", backend_.name);
  FLASHRING_REQUIRE(own.precision() == shape.precision && sources.precision() == shape.precision, "tiles of another ",
                    "precision");
  FLASHRING_REQUIRE(own.payload().device() == sources.payload().device(), "points of one side alone on the device");
  FLASHRING_REQUIRE(own.payload().device() == backend_.device || !transport_.queues_on_device(),
                    "points of the host need a transport with host_messages");
  FLASHRING_REQUIRE(own.payload().device() == backend_.device || (choice.kept == nullptr && choice.touched == nullptr),
                    "pairs of tiles are not chosen from points that come to a device in parts");
  const double before = now();
  Pass pass{*this, shape, sides, own, sources, choice, {}, nullptr, nullptr};
  try {
    pass.run();
  } catch (...) {
    // What is queued still uses the buffers of this pass.
    transport_.abandon();
    if (backend_.device != nullptr) backend_.device->finish();
    throw;
  }
  pass.report.seconds = now() - before;
  return pass.report;
}

}  // namespace flashring
