// The arrays of attention as a run reads or generates them: heads, masks, scores, and numbers for each head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "flashring/attention.hpp"
#include "flashring/storage.hpp"

namespace flashring {

/// An array that every rank holds open, or generates, and reads its own rows of.
struct InputArray {
  std::string place;  ///< begins messages: "-q q.npy"
  std::vector<std::int64_t> axes;
  std::size_t axis = 0;  ///< that of the rows; those after it belong to a row
  Storage storage = Storage::fp32;
  bool heads = false;  ///< axes are the last ones of (B, H, N, D), and places are named so
  /// Rows [begin, begin + count) along `along` at place `entry` of the axes before it, as stored. Not collective.
  std::function<void(std::size_t along, std::int64_t entry, std::int64_t begin, std::int64_t count,
                     std::span<std::byte> out)>
      read;

  std::string shape_and_type() const;  ///< "(2, 4, 13, 5) of fp64"
  /// Length of the n-th axis from the end, 1 where there are fewer.
  std::int64_t from_end(std::size_t n) const { return n <= axes.size() ? axes[axes.size() - n] : 1; }
};

/// An array (B, H, N, D); a file may leave out axes of length 1 at the front: (H, N, D) has B = 1, (N, D) has H = 1 as
/// well. FILE.npy (C order) or FILE.h5:/dataset of fp64, fp32, fp16 or bfloat16. bfloat16 is what ml_dtypes and h5py
/// write of it (NumPy's type V2), or with `words` 16-bit integers. `option` names it in messages. Collective. Throws
/// Error, the same on every rank, that names file, shape or type, and remedy.
InputArray open_heads(const std::string &option, const std::string &file, bool words, const Communicator &communicator);
/// An array of any axes, whose rows are those along axis `dim`, counted from the end where it is negative. Another
/// `axis` may be put in its place before rows are read.
InputArray open_scores(const std::string &option, const std::string &file, bool words, int dim,
                       const Communicator &communicator);

/// This rank's rows, (axes before, local rows, axes after), as stored. Collective. Throws Error that names the place
/// (batch, head, row) of NaN and infinity, -infinity but where `masks` allow it.
std::vector<std::byte> read_rows(const InputArray &array, const RowPartition &partition, bool masks,
                                 const Communicator &communicator);

/// Where the arrays of a run come from, as the user typed it; empty: not given.
struct AttentionFiles {
  std::string q, k, v, d_o;
  std::string generate;  ///< instead of files: normal:b=,h=,h_kv=,n=,n_k=,d=,d_v=,seed=,storage=
  std::string key_padding, lengths;
  bool words = false;     ///< 16-bit integers are bfloat16
  bool backward = false;  ///< d_o is needed
};

struct AttentionSources {
  InputArray q, k, v;  ///< (B, H_q, N_q, D), (B, H_kv, N_k, D), (B, H_kv, N_k, D_v)
  InputArray d_o;      ///< (B, H_q, N_q, D_v); without a backward pass nothing
  AttentionShape shape;
};

/// Opens all, and sees that they fit. Generated numbers are standard normal; number i of an array depends on the seed,
/// the array and i alone, so any number of ranks makes the same. Collective. Throws Error as open_heads does.
AttentionSources open_attention(const AttentionFiles &files, const Communicator &communicator);

/// Which keys are real, (B, local keys), 1 or 0, from an array (B, N_k) of zeros and ones or from B lengths (a list, of
/// one for all too, or a file); empty where neither is given. Collective. Throws Error for another shape or value.
std::vector<std::uint8_t> read_key_padding(const AttentionFiles &files, const AttentionShape &shape,
                                           const RowPartition &keys, const Communicator &communicator);

/// How many numbers -alpha gives, as a list or a file. Collective.
std::int64_t count_alphas(const std::string &text, const Communicator &communicator);
/// -alpha: numbers such as 0.3,0.5, one or `count` of them, one for each `each` ("head"), or a file with as many.
/// Collective.
std::vector<double> read_alphas(const std::string &text, std::int64_t count, const std::string &each,
                                const Communicator &communicator);

}  // namespace flashring
