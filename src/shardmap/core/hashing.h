/* From Python's hash of a key to its shard, and to the 31 bits by which it is found in the shard's index.
 *
 * The hash is mixed into 31 bits first. They are all that the map keeps of it, and both the shard and the place in the
 * shard's index follow from them: so entries can be spread over more shards later without asking a key for its hash
 * again, which could run any code.
 *
 * Two needs pull apart. The shard must be even for every pattern of hashes people have: integers in a
 * row, multiples of a power of two, addresses. The place must keep neighbours neighbours,
 * because dict is fast on integers in a row for no other reason than that.
 *
 * The 31 bits are the lower half of the hash, where the 15 lowest bits are turned round by those above them (which can be
 * undone), and into which the upper half is folded. So hashes that agree in their upper half have the same 32 bits only
 * when they are equal; of those one is given up, so that it can say beside the others whether the key is plain
 * (core/block.pyx). A key's __eq__ is called only where the 31 bits agree.
 *
 * Both steps multiply by a secret of this process and take the product's high bits (multiply-shift; Dietzfelbinger and
 * others, A reliable randomized algorithm for the closest-pair problem, 1997): nobody outside can choose keys that meet in
 * a place, or in all 31 bits, where each look-up would have to pass all of them. And patterns, as packed coordinates, are
 * spread. Probing leaves a full place by another product with the secret (core/probe.pyx), so that keys part at once.
 *
 * Shard, of 2^b: the low b bits, turned round by b bits that the bits above decide, so that multiples of
 * a power of two are spread, too: the high bits of their product with 2^64 / phi (Fibonacci hashing, Knuth,
 * TAOCP 3, 6.4). Multiples of any number go round in even steps in both, and for some, 29 for one, the two
 * would cancel, but for the shift by 3. Of 2^b integers in a row, from a multiple of 2^b on, one goes to each
 * shard.
 *
 * The place starts with the bits above those b, so that those 2^b neighbours have the same place, each in its
 * shard, and the next 2^b the next number: integers in a row never meet. (Two at the same place in a dense
 * row would push all that follow from theirs.) The b bits come last: the 31 bits turned right by b. */
#ifndef SHARDMAP_HASHING_H
#define SHARDMAP_HASHING_H

#include <stdint.h>

#include "compiler.h"

#define SM_MIXED_BITS 31
#define SM_ROW_BITS 15 /* so many neighbours are turned round alike */
#define SM_MIXED_MASK UINT32_C(0x7FFFFFFF)

/* Odd. Set at import from Python's own secret, which PYTHONHASHSEED fixes. */
static uint64_t sm_hash_secret = UINT64_C(0x9E3779B97F4A7C15);

static void sm_hash_init(uint64_t hash_of_a_str)
{
    sm_hash_secret = (hash_of_a_str ^ UINT64_C(0x9E3779B97F4A7C15)) | 1;
}

static inline uint32_t sm_mixed_of(uint64_t hash)
{
    uint32_t low = (uint32_t)hash;
    uint32_t turn = (uint32_t)((low >> SM_ROW_BITS) * sm_hash_secret >> (64 - SM_ROW_BITS));
    uint32_t high = (uint32_t)((hash >> 32) * sm_hash_secret >> (64 - SM_MIXED_BITS));
    return (low ^ turn ^ high) & SM_MIXED_MASK;
}

/* Where probing goes on from a place that was full, for a key of these 31 bits. */
static inline uint32_t sm_perturb_of(uint32_t hash31)
{
    return (uint32_t)(hash31 * sm_hash_secret >> 32);
}

static inline uint32_t sm_shard_of_mixed(uint32_t mixed, unsigned shard_bits)
{
    uint64_t above = mixed >> shard_bits;
    uint64_t product = (above ^ above >> 3) * UINT64_C(0x9E3779B97F4A7C15);
    uint32_t turned = (uint32_t)((product >> 1) >> (63 - shard_bits)); /* in two steps: a shift by 64 is undefined */
    return turned ^ (mixed & ((UINT32_C(1) << shard_bits) - 1));
}

static inline uint32_t sm_hash31_of_mixed(uint32_t mixed, unsigned shard_bits)
{
    return (mixed >> shard_bits | mixed << (SM_MIXED_BITS - shard_bits)) & SM_MIXED_MASK;
}

/* The other way round. */
static inline uint32_t sm_mixed_of_hash31(uint32_t hash31, unsigned shard_bits)
{
    return (hash31 << shard_bits | hash31 >> (SM_MIXED_BITS - shard_bits)) & SM_MIXED_MASK;
}

static inline uint32_t sm_shard_of(uint64_t hash, unsigned shard_bits)
{
    return sm_shard_of_mixed(sm_mixed_of(hash), shard_bits);
}

static inline uint32_t sm_hash31_of(uint64_t hash, unsigned shard_bits)
{
    return sm_hash31_of_mixed(sm_mixed_of(hash), shard_bits);
}

#if defined(_MSC_VER) && !defined(__clang__)
static inline unsigned sm_trailing_zeros(uint32_t number)
{
    unsigned long zeros;
    _BitScanForward(&zeros, number);
    return zeros;
}
static inline uint64_t sm_multiply_high(uint64_t a, uint64_t b) { return __umulh(a, b); }
#else
static inline unsigned sm_trailing_zeros(uint32_t number) { return (unsigned)__builtin_ctz(number); }
static inline uint64_t sm_multiply_high(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)a * b >> 64);
}
#endif

/* Spreads hashes over any number of owners; over a power of two as a map does with as many shards. Else the
 * 128-bit product with 2^64 / phi, its halves folded together (wyhash's mixing), is taken as a fraction of the
 * whole range, times the number. */
static inline uint32_t sm_owner_of(uint64_t hash, uint32_t owners)
{
    if ((owners & (owners - 1)) == 0)
        return sm_shard_of(hash, sm_trailing_zeros(owners));
    uint64_t folded = hash * UINT64_C(0x9E3779B97F4A7C15) ^ sm_multiply_high(hash, UINT64_C(0x9E3779B97F4A7C15));
    return (uint32_t)sm_multiply_high(folded, owners);
}

#endif
