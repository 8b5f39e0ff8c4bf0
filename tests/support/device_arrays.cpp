#include "support/device_arrays.hpp"

#include <optional>
#include <span>

namespace flashring::test {
namespace {

void upload(AlignedBuffer &to, std::span<const std::byte> from) {
  to.resize(from.size());
  if (!from.empty()) to.device()->upload(to.data(), from.data(), from.size());
}

/// No number, in any precision.
void poison(AlignedBuffer &buffer) {
  const std::vector<std::byte> ones(buffer.size(), std::byte{0xff});
  if (!ones.empty()) buffer.device()->upload(buffer.data(), ones.data(), ones.size());
  wait_for(buffer.device());  // `ones` goes
}

std::span<const std::byte> bytes_of(const AlignedBytes &array) { return {array.data(), array.size()}; }

}  // namespace

DeviceArrays::DeviceArrays(const Backend &backend, TileArrays &host)
    : backend_(&backend),
      host_(&host),
      tiles_(backend.device),
      payload_(backend.device),
      log_weights_(backend.device),
      columns_(backend.device),
      state_(backend.device) {
  upload(tiles_, std::as_bytes(std::span(host.tiles())));
  upload(payload_, bytes_of(host.payload()));
  upload(log_weights_, bytes_of(host.log_weights()));
  upload(columns_, bytes_of(host.columns()));
  upload(state_, bytes_of(host.state()));
  wait_for(backend.device);
}

void DeviceArrays::reset(const TileShape &shape) {
  poison(state_);
  reset_states(*backend_, shape, host_->tiles().size(), state_.data());
}

void DeviceArrays::fetch() {
  if (state_.size() > 0) backend_->device->download(host_->state().data(), state_.data(), state_.size());
  wait_for(backend_->device);
}

TileSide DeviceArrays::side() {
  return {reinterpret_cast<const TileInfo *>(tiles_.data()), payload_.data(), log_weights_.data(), columns_.data(),
          state_.data()};
}

void evaluate_block(const Backend &backend, const TileShape &shape, const BlockWork &work, TileArrays &own,
                    TileArrays &visiting) {
  DeviceArrays mine(backend, own);
  std::optional<DeviceArrays> other;
  if (&own != &visiting) other.emplace(backend, visiting);
  DeviceArrays &theirs = other ? *other : mine;
  if (work.fresh) mine.reset(shape);
  if (work.fresh && other) theirs.reset(shape);
  AlignedBuffer kept(backend.device);
  upload(kept, std::as_bytes(std::span(work.kept)));
  AlignedBuffer touched(backend.device);
  if (work.touched != nullptr) {
    work.touched->assign(own.tiles().size(), 0);
    upload(touched, std::as_bytes(std::span(*work.touched)));
  }
  AlignedBuffer scratch(backend.device);
  scratch.resize(backend.scratch_bytes(shape));
  poison(scratch);
  const BlockCall call{shape,
                       mine.side(),
                       theirs.side(),
                       static_cast<std::int32_t>(own.tiles().size()),
                       static_cast<std::int32_t>(visiting.tiles().size()),
                       work.pattern,
                       work.sides,
                       work.kept.empty() ? nullptr : reinterpret_cast<const std::uint64_t *>(kept.data()),
                       scratch.data(),
                       work.touched == nullptr ? nullptr : reinterpret_cast<std::uint64_t *>(touched.data())};
  for (int n = 0; n < work.calls; ++n) backend.device->evaluate(call);
  if (work.touched != nullptr)
    backend.device->download(reinterpret_cast<std::byte *>(work.touched->data()), touched.data(), touched.size());
  mine.fetch();
  if (other) theirs.fetch();
}

}  // namespace flashring::test
