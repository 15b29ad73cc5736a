// libxxhash without XXH_INLINE_ALL: with it the functions are renamed by macro and cannot be imported.
#include <xxhash.h>
