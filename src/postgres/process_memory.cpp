// Memory of this process, as Linux tells it.
#include "process_memory.h"

#include <unistd.h>

#include <fstream>

namespace csp::server {

int64 resident_memory() {
    std::ifstream pages("/proc/self/statm");
    int64 total = 0, resident = 0;
    pages >> total >> resident;
    return pages ? resident * int64(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace csp::server
