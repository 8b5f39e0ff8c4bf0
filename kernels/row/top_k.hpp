// The k visiting rows nearest to each row: of all j that count the k first by (q_ij, j), q = |x_i - x_j|^2 as the
// backend accumulates it and j the 64-bit global row. The order is total, so any order of folds and merges gives the
// same bits. No columns travel: the number of columns of a shape is k. State: pairs (q, j), q in fp64 and j a 64-bit
// integer; a place that nobody has taken is (infinity, no_row). First q of the last place (rows), then its j (rows),
// which every pair is compared with; then those of the places before it, in order: q (rows, k - 1) and j (rows, k - 1),
// so that what an insertion moves lies together. Finish: k distances, then k rows, as doubles: exact below 2^53.
template <>
struct Rule<RowKind::top_k> {
  static constexpr const char *name = "top_k";
  static constexpr int passes = 1;
  static constexpr int scalars = 0;
  static constexpr int own_scalars = 0;
  static constexpr std::int64_t no_row = -1;

  static int value_columns(int /*columns*/) { return 0; }
  static int state_words(int /*pass*/, int columns) { return 2 * columns; }
  static int outputs(int columns) { return 2 * columns; }

  FLASHRING_EVERYWHERE static bool before(double q, std::int64_t row, double other_q, std::int64_t other_row) {
    return q < other_q || (q == other_q && row < other_row);
  }
  /// Row numbers lie in words that are doubles to whoever copies states.
  FLASHRING_EVERYWHERE static std::int64_t row_at(const double *word) {
    std::int64_t row;
    __builtin_memcpy(&row, word, sizeof(row));
    return row;
  }
  FLASHRING_EVERYWHERE static void set_row(double *word, std::int64_t row) {
    __builtin_memcpy(word, &row, sizeof(row));
  }

  /// The list of one row: the last place, and those before it.
  struct List {
    double *last_q, *last_row, *rest_q, *rest_row;
    int rest;

    /// Calls take(q, row) for all places in their order, until it says false.
    template <class Take>
    FLASHRING_EVERYWHERE void each(Take take) const {
      for (int n = 0; n < rest; ++n)
        if (!take(rest_q[n], row_at(rest_row + n))) return;
      take(*last_q, row_at(last_row));
    }
  };
  /// Of row i of a tile. Lists that are only read are not written to.
  FLASHRING_EVERYWHERE static List list_of(const double *state, std::size_t rows, std::size_t i, int k) {
    double *s = const_cast<double *>(state);
    const std::size_t rest = static_cast<std::size_t>(k) - 1;
    double *const rest_q = s + 2 * rows + i * rest;
    return {s + i, s + rows + i, rest_q, rest_q + rows * rest, k - 1};
  }

  /// (q, row) takes its place, or is left out: false. Cost: a comparison, and a move for each place behind it.
  FLASHRING_EVERYWHERE static bool insert(const List &list, double q, std::int64_t row) {
    if (!before(q, row, *list.last_q, row_at(list.last_row))) return false;
    double *q_at = list.last_q;
    double *row_word = list.last_row;
    for (int n = list.rest - 1; n >= 0 && before(q, row, list.rest_q[n], row_at(list.rest_row + n)); --n) {
      *q_at = list.rest_q[n];
      *row_word = list.rest_row[n];
      q_at = list.rest_q + n;
      row_word = list.rest_row + n;
    }
    *q_at = q;
    set_row(row_word, row);
    return true;
  }

  static void identity(int /*pass*/, int columns, std::size_t rows, std::byte *state) {
    double *s = reinterpret_cast<double *>(state);  // (2 k rows)
    for (std::size_t i = 0; i < rows; ++i) {
      const List list = list_of(s, rows, i, columns);
      *list.last_q = __builtin_inf();
      set_row(list.last_row, no_row);
      for (int n = 0; n < list.rest; ++n) {
        list.rest_q[n] = __builtin_inf();
        set_row(list.rest_row + n, no_row);
      }
    }
  }
  static void merge(int /*pass*/, int columns, std::size_t rows, std::byte *into, const std::byte *from) {
    double *a = reinterpret_cast<double *>(into);              // (2 k rows)
    const double *b = reinterpret_cast<const double *>(from);  // (2 k rows)
    for (std::size_t i = 0; i < rows; ++i) {
      const List list = list_of(a, rows, i, columns);
      list_of(b, rows, i, columns).each([&list](double q, std::int64_t row) { return insert(list, q, row); });
    }
  }
  static void finish(int columns, std::size_t rows, const std::byte *state, double *out) {
    const double *s = reinterpret_cast<const double *>(state);  // (2 k rows)
    const std::size_t half = static_cast<std::size_t>(columns) * rows;
    for (std::size_t i = 0; i < rows; ++i) {
      double *to = out + i;
      list_of(s, rows, i, columns).each([&](double q, std::int64_t row) {
        *to = __builtin_sqrt(q);
        to[half] = static_cast<double>(row);
        to += rows;
        return true;
      });
    }
  }
};
