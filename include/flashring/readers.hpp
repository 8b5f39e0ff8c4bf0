// Readers: files that hold points, numbers per point, or labels.
#pragma once

#include <string>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/points.hpp"

namespace flashring {

/// Points from a file, by its name: FILE.npy, FILE.h5:/dataset (.h5, .hdf5, .hdf; without :/dataset the file's only
/// dataset), FILE.csv, .tsv or .txt. All give bitwise the same points for the same numbers. Rows lie on the ranks in
/// contiguous ranges. Collective. Throws Error, the same on every rank, that names rank, file, place, value and remedy.
PointBlock read_points(const std::string &file, const Communicator &communicator);

/// Shape of such a file. Collective; the same errors, as far as the shape shows them.
PointShape points_shape(const std::string &file, const Communicator &communicator);

/// Points from an NPY file (format 1.0 to 3.0) of shape (N, d) or (N,): f4, f8, bool and all integers (beyond 2^53
/// rounded to double), either byte order, C and Fortran order. Every rank reads its own rows alone. Collective. Throws
/// Error, the same on every rank, that names rank, file, place, value and remedy: file missing, not an NPY file, cut
/// off, complex or structured type, wrong number of axes, N = 0 or d = 0, NaN or infinite value (names the row), not
/// the same file for every rank.
PointBlock read_npy(const std::string &file, const Communicator &communicator);

/// Points from a dataset of shape (N, d) or (N,) of any real type: floating of any width, integer, enumeration (bool),
/// either byte order, contiguous, chunked or compressed. `dataset` may be empty when the file holds just one. Every
/// rank reads its own rows alone. Errors as read_npy, and: no such dataset (the message lists those there are), a
/// group, text, compound or complex values.
PointBlock read_hdf5(const std::string &file, const std::string &dataset, const Communicator &communicator);

/// Points from text, one row per line, fields separated by tab (.tsv), or by comma, semicolon, tab or blanks, whichever
/// the first line shows. A first line of words is a header; empty lines and lines that begin with
/// # are passed over. Every rank parses its own rows and holds nothing beside them but a buffer. Errors as read_npy,
/// and: ragged line (its number, and both counts), field that is no finite number (line, column, text), empty file.
PointBlock read_csv(const std::string &file, const Communicator &communicator);

/// One number per point from any of the files above, shape (N,) or (N, 1): this rank's rows of the contiguous
/// partition. `what` names the numbers in messages. Throws Error when N is not `rows`. Collective.
std::vector<double> read_vector(const std::string &what, const std::string &file, std::int64_t rows,
                                const Communicator &communicator);

/// A set of points: `text` is a file of row numbers, counted from 0, in any of the formats above, or
/// ball:X1,...,Xd,r=R, the points within R of X, in the units of the coordinates as given. Returns 1 for the rows of
/// this rank that are in the set, else 0, (points.local_rows()). `what` names the set in messages. Throws Error for an
/// empty set, a number that is no row, a centre of other features, a radius that is not positive. Collective.
std::vector<char> read_point_set(const std::string &what, const std::string &text, const PointBlock &points,
                                 const Communicator &communicator);

/// One label per line of a text file, without blanks around it, or one number per point of an NPY or HDF5 file: all
/// `rows` of them on rank 0, none elsewhere. Throws Error when the count differs. Collective.
std::vector<std::string> read_labels(const std::string &file, std::int64_t rows, const Communicator &communicator);

}  // namespace flashring
