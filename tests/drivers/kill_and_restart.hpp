// Programs that end by SIGKILL at random moments and are started again: what they leave, and whether the second run
// comes to the end of an undisturbed one. Linux only: processes are found in /proc.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "drivers/program.hpp"

namespace flashring::test {

/// One rank, as when a machine is out of memory: mpirun then ends the others by SIGTERM and SIGKILL. Or all at once.
enum class Victims { one_rank, all_ranks };

struct KillPlan {
  std::string program;  ///< path of the executable that is to be killed, whose processes `start` makes by mpirun
  std::string start;    ///< a line of the shell that runs it from the beginning
  /// A line that goes on from the checkpoint, the moment's number given: for other numbers of ranks.
  std::function<std::string(int moment)> restart;
  std::filesystem::path checkpoint;  ///< in a folder of its own, which is emptied before each start
  std::filesystem::path log;         ///< takes what a killed run writes; outside that folder
  int moments = 20;
  std::uint64_t seed = 1;
};

struct KilledRun {
  Victims victims = Victims::all_ranks;
  double moment = 0;               ///< seconds after its start
  bool killed = false;             ///< false: it had come to its end before
  std::vector<std::string> files;  ///< that it left in the folder, sorted
  bool resumed = false;            ///< there was a checkpoint, and `second` went on from it; otherwise it began anew
  Outcome second;

  std::string describe() const {
    std::string text =
        std::string(killed ? "killed" : "came to its end") + " at " + std::to_string(moment) + " s, left";
    for (const std::string &name : files) text += " " + name;
    return text + (resumed ? ", resumed: " : ", begun anew: ") + second.output;
  }
};

namespace kill_detail {

namespace fs = std::filesystem;

/// Parent of every process, without those that have ended (zombies).
inline std::map<pid_t, pid_t> living_processes() {
  std::map<pid_t, pid_t> parents;
  for (const auto &entry : fs::directory_iterator("/proc", fs::directory_options::skip_permission_denied)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stream(entry.path() / "stat");
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    const std::size_t end = text.rfind(')');  // of the program's name, which may hold anything
    if (end == std::string::npos || text.size() < end + 5 || text[end + 2] == 'Z') continue;
    parents[std::stoi(name)] = std::stoi(text.substr(end + 4));
  }
  return parents;
}

/// Processes of `program` that descend from `ancestor`.
inline std::vector<pid_t> find_ranks(pid_t ancestor, const std::string &program) {
  const std::map<pid_t, pid_t> parents = living_processes();
  std::vector<pid_t> ranks;
  for (const auto &[process, parent] : parents) {
    pid_t up = parent;
    while (up != ancestor && up > 1 && parents.count(up) != 0) up = parents.at(up);
    std::error_code gone;
    if (up == ancestor && fs::equivalent("/proc/" + std::to_string(process) + "/exe", program, gone))
      ranks.push_back(process);
  }
  return ranks;
}

inline pid_t start_shell(const std::string &command, const std::string &log) {
  const pid_t child = fork();
  if (child != 0) return child;
  const int descriptor = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  ::dup2(descriptor, STDOUT_FILENO);
  ::dup2(descriptor, STDERR_FILENO);
  ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char *>(nullptr));
  ::_exit(127);
}

inline std::vector<std::string> sorted_names(const fs::path &folder) {
  std::vector<std::string> names;
  for (const auto &entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Kills once the moment has come and a rank is there. Returns when mpirun and every rank have ended.
inline bool run_and_kill(const KillPlan &plan, double moment, Victims victims) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const pid_t shell = start_shell(plan.start, plan.log.string());
  std::vector<pid_t> ranks;
  int status = 0;
  bool ended = false;
  while (!ended && ranks.empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ended = waitpid(shell, &status, WNOHANG) == shell;
    if (!ended && std::chrono::duration<double>(Clock::now() - start).count() >= moment)
      ranks = find_ranks(shell, plan.program);
  }
  if (victims == Victims::one_rank && ranks.size() > 1)
    ranks = {ranks[static_cast<std::size_t>(1e6 * moment) % ranks.size()]};
  for (const pid_t rank : ranks) ::kill(rank, SIGKILL);
  if (!ended) waitpid(shell, &status, 0);
  // mpirun waits for its processes; those it has lost must not write into the next run.
  for (const pid_t rank : ranks)
    while (living_processes().count(rank) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return !ranks.empty();
}

}  // namespace kill_detail

/// One moment in each of `moments` equal parts of the time from `begin` to `end`, seconds after the start, which an
/// undisturbed run tells; a moment before the ranks are there waits for them. One rank and all ranks take turns. After
/// every kill the folder is looked at and the program is run to its end: from the checkpoint where there is one.
inline std::vector<KilledRun> kill_and_restart(const KillPlan &plan, double begin, double end) {
  namespace fs = std::filesystem;
  std::mt19937_64 random(plan.seed);
  std::vector<KilledRun> runs;
  for (int part = 0; part < plan.moments; ++part) {
    KilledRun run;
    run.moment = begin + (end - begin) * (part + std::uniform_real_distribution<double>()(random)) / plan.moments;
    run.victims = part % 2 == 0 ? Victims::one_rank : Victims::all_ranks;
    fs::remove_all(plan.checkpoint.parent_path());
    fs::create_directories(plan.checkpoint.parent_path());
    run.killed = kill_detail::run_and_kill(plan, run.moment, run.victims);
    run.files = kill_detail::sorted_names(plan.checkpoint.parent_path());
    run.resumed = fs::exists(plan.checkpoint) || fs::exists(plan.checkpoint.string() + ".previous");
    run.second = run_command(run.resumed ? plan.restart(part) : plan.start);
    runs.push_back(run);
  }
  return runs;
}

}  // namespace flashring::test
