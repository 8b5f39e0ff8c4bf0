// The place of a checkpoint: the one before stays, whatever ends the program; other files are left alone; a full disk
// changes nothing.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <thread>

#include "io/checkpoint_claim.hpp"
#include "io/file_size_limit.hpp"
#include "io/sample_checkpoint.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

namespace fs = std::filesystem;

TEST(CheckpointPlace, TheOneBeforeIsKept) {
  const std::string folder = scratch_folder("checkpoint_previous");
  const std::string file = folder + "/run.h5";
  for (int version = 1; version <= 4; ++version) {
    write_sample(file, version);
    expect_file(file, version);
    if (version > 1) expect_file(file + ".previous", version - 1);
  }
  world().sum(1.0);
  EXPECT_EQ(names_in(folder), (std::vector<std::string>{"run.h5", "run.h5.previous"}));
}

/// Every state that the end of the program can leave.
TEST(CheckpointPlace, WhatAKilledRunLeavesIsEnough) {
  const std::string folder = scratch_folder("checkpoint_killed");
  const std::string file = folder + "/run.h5";
  write_file(file + ".unfinished", std::string(5000000, 'x'));  // ended while it wrote its first
  expect_error(refusal_of(world(), file), {"rank 0: " + file + ": cannot be opened (No such file"});
  write_sample(file, 1);
  write_sample(file, 2);
  write_file(file + ".unfinished", std::string(100, '\0'));  // while it wrote its third
  expect_file(file, 2);
  if (world().rank() == 0) fs::rename(file, file + ".previous");  // between the two renames
  world().sum(1.0);
  const CheckpointReader reader(world(), file);
  EXPECT_EQ(reader.file(), file + ".previous");
  expect_error(reader.finding(), {file + ": cannot be opened", file + ".previous, the checkpoint before it, is taken"});
  expect_sample(reader, RowPartition::zigzag(rows_of_sample, world().size()), world().rank(), 2);
  write_sample(file, 3);
  expect_file(file, 3);
  expect_file(file + ".previous", 2);
  world().sum(1.0);
  EXPECT_EQ(names_in(folder), (std::vector<std::string>{"run.h5", "run.h5.previous"}));
}

TEST(CheckpointPlace, ADamagedOneDoesNotReplaceTheOneBefore) {
  const std::string file = scratch_folder("checkpoint_damaged") + "/run.h5";
  write_sample(file, 1);
  write_sample(file, 2);
  if (world().rank() == 0) fs::resize_file(file, fs::file_size(file) - 1);
  world().sum(1.0);
  const CheckpointReader reader(world(), file);
  expect_error(reader.finding(), {"it was cut off", "is taken instead"});
  expect_sample(reader, RowPartition::contiguous(rows_of_sample, world().size()), world().rank(), 1);
  write_sample(file, 3);
  expect_file(file, 3);
  expect_file(file + ".previous", 1);
}

TEST(CheckpointPlace, DoesNotReplaceOtherFiles) {
  const std::string folder = scratch_folder("checkpoint_mine");
  const std::string file = folder + "/points.npy";
  for (const std::string &mine : {file, file + ".previous"}) {
    write_file(mine, "my points");
    expect_error(error_of([&] { CheckpointClaim(world(), file); }),
                 {"rank 0: " + mine + ": is there already and is no checkpoint", "move it away"});
    expect_error(error_of([&] { write_sample(file, 1); }), {mine + ": is there already and is no checkpoint"});
    EXPECT_EQ(read_file(mine), "my points");
    EXPECT_EQ(names_in(folder), std::vector<std::string>{fs::path(mine).filename().string()});
    world().sum(1.0);
    if (world().rank() == 0) fs::remove(mine);
  }
}

TEST(CheckpointPlace, ThePlaceIsTriedBefore) {
  const std::string folder = scratch_folder("checkpoint_place");
  { const CheckpointClaim claim(world(), folder + "/run.h5"); }
  world().sum(1.0);
  EXPECT_TRUE(names_in(folder).empty());
  expect_error(error_of([&] { CheckpointClaim(world(), ""); }), {"the name is empty"});
  expect_error(error_of([&] { CheckpointClaim(world(), folder); }), {folder + ": is a folder, not a file"});
  const std::string missing = folder + "/no/run.h5";
  expect_error(error_of([&] { CheckpointClaim(world(), missing); }),
               {missing + ".owner: cannot be opened (No such file", "check the folder"});
  expect_error(error_of([&] { write_sample(missing, 1); }),
               {missing + ".unfinished: cannot be opened", "no checkpoint"});
  // /proc refuses new files to everybody, root too.
  if (!fs::exists("/proc/self")) return;
  expect_error(error_of([&] { CheckpointClaim(world(), "/proc/run.h5"); }), {"/proc/run.h5.owner"});
  expect_error(error_of([&] { write_sample("/proc/run.h5", 1); }), {"/proc/run.h5", "make room"});
}

/// What another run's FILE.owner says of its machine.
std::string owner_text(const std::string &machine) {
  return "host far\nprocess 12\nsince 2026-11-22 10:00:00 UTC\nmachine " + machine + "\n";
}

TEST(CheckpointPlace, ALivingRunKeepsOthersAway) {
  const std::string file = scratch_folder("checkpoint_claim") + "/run.h5";
  auto first = std::make_unique<CheckpointClaim>(world(), file);
  std::int64_t process = ::getpid();
  world().broadcast(std::as_writable_bytes(std::span(&process, 1)), 0);
  expect_error(error_of([&] { CheckpointClaim(world(), file); }),
               {"rank 0: " + file + ": process " + std::to_string(process) + " on ", " writes it since 20",
                "give another name to -checkpoint", "remove " + file + ".owner"});
  EXPECT_NO_THROW(first->check());
  first.reset();
  const CheckpointClaim second(world(), file);
}

/// Of a run on this machine at once; of another machine's after a while without a sign of life.
TEST(CheckpointPlace, ADeadRunIsReplaced) {
  const std::string file = scratch_folder("checkpoint_dead") + "/run.h5";
  std::string here;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), here);
  write_file(file + ".owner", owner_text(here));
  { const CheckpointClaim claim(world(), file, {5, 1000}); }
  write_file(file + ".owner", owner_text("another"));
  { const CheckpointClaim claim(world(), file, {5, 0.1}); }
  write_file(file + ".owner", owner_text("another"));
  std::jthread life;
  if (world().rank() == 0)
    life = std::jthread([&](const std::stop_token &ended) {
      while (!ended.stop_requested()) {
        fs::last_write_time(file + ".owner", fs::file_time_type::clock::now());
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
  expect_error(error_of([&] { CheckpointClaim(world(), file, {5, 0.3}); }), {file + ": process 12 on far writes it"});
}

/// A run that was stopped, and taken for dead, does not write into the files of the next one, nor removes its claim.
TEST(CheckpointPlace, AClaimThatWasLostIsSaid) {
  const std::string file = scratch_folder("checkpoint_lost") + "/run.h5";
  {
    const CheckpointClaim claim(world(), file, {0.01, 20});
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    world().sum(1.0);
    if (world().rank() == 0) fs::rename(file + ".owner", file + ".old");
    write_file(file + ".owner", owner_text("another"));
    EXPECT_EQ(error_of([&] { claim.check(); }) == "no error", world().rank() != 0);
  }
  world().sum(1.0);
  EXPECT_TRUE(fs::exists(file + ".owner"));
}

/// Whichever rank meets it, and whether metadata fit or not.
TEST(CheckpointPlace, AFullDiskChangesNothing) {
  const std::string folder = scratch_folder("checkpoint_full");
  const std::string file = folder + "/run.h5";
  write_sample(file, 1);
  write_sample(file, 2);
  const int last = world().size() - 1;
  for (const bool everywhere : {true, false})
    for (const rlim_t bytes : {rlim_t{5000}, rlim_t{100000}}) {
      std::string message;
      {
        const FileSizeLimit limit(everywhere || world().rank() == last ? bytes : RLIM_INFINITY);
        message = error_of([&] { write_sample(file, 3, 50000); });
      }
      expect_error(message,
                   {"rank " + std::to_string(everywhere ? 0 : last) + ": " + file + ".unfinished: cannot be",
                    "(File too large)", "free space", "no checkpoint was written, earlier ones are as before"});
      EXPECT_EQ(names_in(folder), (std::vector<std::string>{"run.h5", "run.h5.previous"}));
      expect_file(file, 2);
      expect_file(file + ".previous", 1);
      world().sum(1.0);
    }
  write_sample(file, 3, 50000);
  expect_file(file, 3, 50000);
}

}  // namespace
}  // namespace flashring::test
