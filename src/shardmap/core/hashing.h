/* Computes from Python's hash of a key its shard, and the 31 bits by which it is found in the shard's index.
 *
 * The hash is first mixed into 31 bits. The map keeps only these bits of it. The shard, and the place in the shard's
 * index, follow from them. So a split can move entries to more shards without asking a key for its hash again, which
 * could run any code.
 *
 * There are two opposite aims. The shards must be used evenly for every pattern of hashes that occurs in programs:
 * consecutive integers, multiples of a power of two, addresses. The place must keep neighbours neighbours, because
 * this is the only reason why dict is fast with consecutive integers.
 *
 * The 31 bits come from the lower half of the hash. Its 15 lowest bits are XORed with a product of the bits above them
 * (which can be undone). Then bits of the upper half are XORed in. So if two hashes have equal upper halves, their 32
 * bits are equal only if the hashes are. One of the 32 bits is dropped; its place says whether the key is plain
 * (core/block.pyx). A key's __eq__ is called only if the 31 bits are equal.
 *
 * Both steps multiply by a secret of this process and take the product's high bits (multiply-shift; Dietzfelbinger and
 * others, A reliable randomized algorithm for the closest-pair problem, 1997). So nobody outside can choose keys with
 * the same place or the same 31 bits, which would make each look-up pass all of them. This also spreads patterns such
 * as packed coordinates. If a place is full, probing continues at another product with the secret (core/probe.pyx), so
 * that keys with the same place separate at once.
 *
 * The shard, one of 2^b: the low b bits, XORed with b bits that depend on the bits above them, so that multiples of a
 * power of two are spread, too. These are the high bits of a product with 2^64 / phi (Fibonacci hashing, Knuth, TAOCP
 * 3, 6.4). For multiples of any number, both parts advance in equal steps. For some numbers, 29 for example, the two
 * would cancel each other; the shift by 3 prevents this. Of 2^b consecutive integers that begin at a multiple of 2^b,
 * one goes to each shard.
 *
 * The place begins with the bits above those b bits. So those 2^b neighbours have the same place, each in its own
 * shard, and the next 2^b have the next place: consecutive integers never collide. (In a dense row, two keys at one
 * place would move all following keys from their places.) The b bits come last: the place is the 31 bits, rotated
 * right by b. */
#ifndef SHARDMAP_HASHING_H
#define SHARDMAP_HASHING_H

#include <stdint.h>

#include "compiler.h"

#define SM_MIXED_BITS 31
#define SM_ROW_BITS 15 /* 2^15 neighbours are XORed with the same bits */
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

/* Where probing continues if the place was full, for a key with these 31 bits. */
static inline uint32_t sm_perturb_of(uint32_t hash31) { return (uint32_t)(hash31 * sm_hash_secret >> 32); }

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

/* The inverse of sm_hash31_of_mixed(). */
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
static inline uint64_t sm_multiply_high(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b >> 64); }
#endif

/* Spreads hashes over any number of owners. For a power of two, as a map does over as many shards. Otherwise it
 * XORs the halves of the 128-bit product with 2^64 / phi (wyhash's mixing), takes the result as a fraction of the
 * whole range, and multiplies it by the number of owners. */
static inline uint32_t sm_owner_of(uint64_t hash, uint32_t owners)
{
    if ((owners & (owners - 1)) == 0)
        return sm_shard_of(hash, sm_trailing_zeros(owners));
    uint64_t folded = hash * UINT64_C(0x9E3779B97F4A7C15) ^ sm_multiply_high(hash, UINT64_C(0x9E3779B97F4A7C15));
    return (uint32_t)sm_multiply_high(folded, owners);
}

#endif
