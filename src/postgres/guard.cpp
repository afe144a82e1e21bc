// Exceptions to server errors and back; which SQLSTATE an ErrorKind has.
#include "guard.h"

#include <algorithm>

extern "C" {
#include "mb/pg_wchar.h"
}

namespace csp::server {

namespace {

int sqlstate_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid_parameter: return ERRCODE_INVALID_PARAMETER_VALUE;
        case ErrorKind::undefined_object: return ERRCODE_UNDEFINED_OBJECT;
        case ErrorKind::invalid_coordinates: return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
        case ErrorKind::invalid_data: return ERRCODE_DATA_EXCEPTION;
        case ErrorKind::data_corrupted: return ERRCODE_DATA_CORRUPTED;
        case ErrorKind::out_of_memory: return ERRCODE_OUT_OF_MEMORY;
        case ErrorKind::not_supported: return ERRCODE_FEATURE_NOT_SUPPORTED;
        case ErrorKind::io_error: return ERRCODE_IO_ERROR;
        case ErrorKind::external_library: return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
        case ErrorKind::internal: return ERRCODE_INTERNAL_ERROR;
    }
    return ERRCODE_INTERNAL_ERROR;
}

// A copy in the current memory context; null for an empty text. An allocation that fails
// here must not raise: we are inside a catch block.
// Texts that quote what users wrote, which may be anything, are clipped: they go into the server log.
const char *copy_text(const std::string &text) {
    constexpr int longest = 4000;
    if (text.empty())
        return nullptr;
    const bool fits = text.size() <= longest;
    const int size = fits ? int(text.size()) : pg_mbcliplen(text.c_str(), int(std::min<std::size_t>(text.size(), INT_MAX)), longest);
    auto *copy = static_cast<char *>(MemoryContextAllocExtended(CurrentMemoryContext, size + sizeof("..."), MCXT_ALLOC_NO_OOM));
    if (copy == nullptr)
        return "out of memory while reporting an error";
    std::memcpy(copy, text.c_str(), size);
    std::strcpy(copy + size, fits ? "" : "...");
    return copy;
}

PendingError describe(const Error &error, int sqlstate) {
    return {nullptr, sqlstate, copy_text(error.message()), copy_text(error.detail()), copy_text(error.hint())};
}

}  // namespace

PendingError describe_current_exception() noexcept {
    try {
        throw;
    } catch (const ServerError &error) {
        return {error.data(), 0, nullptr, nullptr, nullptr};
    } catch (const SqlError &error) {
        return describe(error, error.sqlstate());
    } catch (const Error &error) {
        return describe(error, sqlstate_of(error.kind()));
    } catch (const std::bad_alloc &) {
        return {nullptr, ERRCODE_OUT_OF_MEMORY, "out of memory", nullptr, nullptr};
    } catch (const std::exception &error) {
        return {nullptr, ERRCODE_INTERNAL_ERROR, copy_text(error.what()), nullptr, nullptr};
    } catch (...) {
        return {nullptr, ERRCODE_INTERNAL_ERROR, "unknown C++ exception", nullptr, nullptr};
    }
}

void raise(const PendingError &error) {
    if (error.server != nullptr)
        ReThrowError(error.server);
    ereport(ERROR, (errcode(error.sqlstate), errmsg("%s", error.message ? error.message : "unknown error"),
                    error.detail ? errdetail("%s", error.detail) : 0, error.hint ? errhint("%s", error.hint) : 0));
    pg_unreachable();
}

ErrorData *run_catching(void (*function)(void *), void *argument) {
    MemoryContext context = CurrentMemoryContext;
    ErrorData *volatile error = nullptr;

    PG_TRY();
    {
        function(argument);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        error = CopyErrorData();
        FlushErrorState();
    }
    PG_END_TRY();
    return error;
}

}  // namespace csp::server
