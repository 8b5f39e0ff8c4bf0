// Communicator and transport over MPI. Counts are int there, so messages are cut.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <thread>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "flashring/transport.hpp"

namespace flashring {
namespace {

/// Pieces of 1 GiB: below the int limit, large enough that the cut costs nothing.
constexpr std::size_t piece_bytes = std::size_t{1} << 30U;

void call(int code, const char *what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(detail::concatenate(what, " failed: ", std::string_view(text, static_cast<std::size_t>(length))));
}

/// Runs `step(offset, count)` over [0, total) in pieces whose count fits MPI.
template <class Step>
void in_pieces(std::size_t total, std::size_t most, Step step) {
  for (std::size_t at = 0; at < total; at += most) step(at, static_cast<int>(std::min(most, total - at)));
}

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MPI_Comm comm, double patience_seconds) : patience_(patience_seconds) {
    call(MPI_Comm_dup(comm, &comm_), "MPI_Comm_dup");
    call(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    call(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
  }
  MpiCommunicator(const MpiCommunicator &) = delete;
  MpiCommunicator &operator=(const MpiCommunicator &) = delete;
  ~MpiCommunicator() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized == 0) MPI_Comm_free(&comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  MPI_Comm comm() const { return comm_; }

  void sum(std::span<double> values) const override { reduce(values.data(), values.size(), MPI_DOUBLE, MPI_SUM); }
  void sum(std::span<std::int64_t> values) const override {
    reduce(values.data(), values.size(), MPI_INT64_T, MPI_SUM);
  }
  void max(std::span<double> values) const override { reduce(values.data(), values.size(), MPI_DOUBLE, MPI_MAX); }

  /// The same call on every rank, or it would match none: who failed looks at the clock, all others wait as ever.
  bool any(bool failed) const override {
    auto one_failed = std::make_unique<int>(failed ? 1 : 0);
    MPI_Request request = MPI_REQUEST_NULL;
    call(MPI_Iallreduce(MPI_IN_PLACE, one_failed.get(), 1, MPI_INT, MPI_MAX, comm_, &request), "MPI_Iallreduce");
    if (!failed) {
      call(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
    } else if (!arrives(request)) {
      static_cast<void>(one_failed.release());  // collective calls cannot be cancelled: MPI may still write there
      throw Error(detail::concatenate("the other ranks did not come within ", patience_.count(),
                                      " seconds to hear of it: one hangs or is lost; look at the GPUs, processes and "
                                      "network of their machines"));
    }
    return *one_failed != 0;
  }

  void broadcast(std::span<std::byte> bytes, int root) const override {
    in_pieces(bytes.size(), piece_bytes, [&](std::size_t at, int count) {
      call(MPI_Bcast(bytes.data() + at, count, MPI_BYTE, root, comm_), "MPI_Bcast");
    });
  }

  std::vector<std::byte> gather(std::span<const std::byte> bytes) const override {
    const std::int64_t mine = static_cast<std::int64_t>(bytes.size());
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(size_));
    call(MPI_Allgather(&mine, 1, MPI_INT64_T, sizes.data(), 1, MPI_INT64_T, comm_), "MPI_Allgather");
    std::vector<int> counts;
    std::vector<int> offsets;
    std::int64_t total = 0;
    for (const std::int64_t size : sizes) {
      offsets.push_back(static_cast<int>(std::min<std::int64_t>(total, INT_MAX)));
      counts.push_back(static_cast<int>(std::min<std::int64_t>(size, INT_MAX)));
      total += size;
    }
    FLASHRING_CHECK(total <= INT_MAX, "a gather of ", total, " bytes is more than MPI counts (", INT_MAX,
                    "); use fewer ranks or smaller samples");
    std::vector<std::byte> all(static_cast<std::size_t>(total));
    call(MPI_Allgatherv(bytes.data(), static_cast<int>(mine), MPI_BYTE, all.data(), counts.data(), offsets.data(),
                        MPI_BYTE, comm_),
         "MPI_Allgatherv");
    return all;
  }

  [[noreturn]] void abort(int exit_code) const override {
    MPI_Abort(comm_, exit_code);
    std::_Exit(exit_code);
  }

 private:
  bool arrives(MPI_Request &request) const {
    using Clock = std::chrono::steady_clock;
    for (const auto since = Clock::now(); Clock::now() - since < patience_;) {
      int done = 0;
      call(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
      if (done != 0) return true;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return false;
  }

  template <class T>
  void reduce(T *values, std::size_t count, MPI_Datatype type, MPI_Op operation) const {
    in_pieces(count, piece_bytes / sizeof(T), [&](std::size_t at, int part) {
      call(MPI_Allreduce(MPI_IN_PLACE, values + at, part, type, operation, comm_), "MPI_Allreduce");
    });
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  std::chrono::duration<double> patience_;
};

class MpiExchange final : public Exchange {
 public:
  /// The first `receives` requests are receives.
  MpiExchange(std::vector<MPI_Request> requests, std::size_t receives)
      : requests_(std::move(requests)), receives_(receives) {}
  MpiExchange(const MpiExchange &) = delete;
  MpiExchange &operator=(const MpiExchange &) = delete;
  // An exchange given up by an exception: nothing may arrive in buffers that are about to go, and waiting for peers
  // that may have failed as well could hang. Sends cannot be recalled.
  ~MpiExchange() override {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i] == MPI_REQUEST_NULL) continue;
      if (i >= receives_) {
        MPI_Request_free(&requests_[i]);
        continue;
      }
      MPI_Cancel(&requests_[i]);
      MPI_Wait(&requests_[i], MPI_STATUS_IGNORE);
    }
  }

  bool test() override {
    int done = 1;
    if (!requests_.empty()) call(MPI_Testall(count(), requests_.data(), &done, MPI_STATUSES_IGNORE), "MPI_Testall");
    if (done != 0) requests_.clear();
    return done != 0;
  }
  void wait() override {
    if (!requests_.empty()) call(MPI_Waitall(count(), requests_.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
    requests_.clear();
  }

 private:
  int count() const { return static_cast<int>(requests_.size()); }
  std::vector<MPI_Request> requests_;
  std::size_t receives_;
};

class MpiTransport final : public Transport {
 public:
  explicit MpiTransport(MPI_Comm comm) : comm_(comm) {}
  const char *name() const override { return "mpi"; }

  std::unique_ptr<Exchange> start(std::span<const Message> sends, std::span<const Message> receives) override {
    std::vector<MPI_Request> requests;
    for (const Message &m : receives)
      in_pieces(m.bytes, piece_bytes, [&](std::size_t at, int count) {
        call(MPI_Irecv(m.data + at, count, MPI_BYTE, m.peer, m.channel, comm_, &requests.emplace_back()), "MPI_Irecv");
      });
    const std::size_t receive_requests = requests.size();
    for (const Message &m : sends)
      in_pieces(m.bytes, piece_bytes, [&](std::size_t at, int count) {
        call(MPI_Isend(m.data + at, count, MPI_BYTE, m.peer, m.channel, comm_, &requests.emplace_back()), "MPI_Isend");
      });
    return std::make_unique<MpiExchange>(std::move(requests), receive_requests);
  }

 private:
  MPI_Comm comm_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm comm, double patience_seconds) {
  return std::make_unique<MpiCommunicator>(comm, patience_seconds);
}

MPI_Comm mpi_comm(const Communicator &communicator) {
  const auto *mpi = dynamic_cast<const MpiCommunicator *>(&communicator);
  return mpi == nullptr ? MPI_COMM_NULL : mpi->comm();
}

std::unique_ptr<Transport> make_mpi_transport(const Communicator &communicator, const Device * /*device*/,
                                              const TransportOptions & /*options*/) {
  const MPI_Comm comm = mpi_comm(communicator);
  FLASHRING_CHECK(comm != MPI_COMM_NULL, "-transport mpi needs a communicator made from an MPI one");
  return std::make_unique<MpiTransport>(comm);
}

}  // namespace flashring
