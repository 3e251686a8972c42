// Words and character n-grams hashed to a fixed number of places: the floor that needs no table.
//
// Owns the features and the hash. Two features that meet in one place add or cancel; nothing is learned.
#pragma once

#include <span>

#include "laneway/words.hpp"

namespace laneway {

// Counts words, pairs of neighbouring words and character 3- and 4-grams of each word between its borders, each with a
// sign, takes the signed square root and scales to length 1; zeros if there is no word.
void hash_words(const Words& words, std::span<float> out);

}  // namespace laneway
