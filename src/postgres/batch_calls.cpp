// Calls evaluated in batches: rows are taken one by one, then computed together.
#include "batch_calls.h"

#include "catalog.h"
#include "dates.h"
#include "geometry.h"
#include "guard.h"
#include "toast.h"

#include "../encoder/fusion.h"

#include <algorithm>
#include <new>

extern "C" {
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "optimizer/clauses.h"
#include "portability/instr_time.h"
#include "utils/acl.h"
#include "utils/resowner.h"
}

namespace csp::server {

namespace {

// Rows between two looks at interrupts: some milliseconds.
constexpr int slice = 256;

template <typename Body>
void in_slices(std::size_t count, Body &&body) {
    for (std::size_t first = 0; first < count; first += slice) {
        check_for_interrupts();
        body(first, std::min<std::size_t>(slice, count - first));
    }
}

// What is wrong with the row is said by the function itself when the row is asked for.
[[noreturn]] void leave_to_function() { throw Error(ErrorKind::invalid_parameter, "left to the function itself"); }

// Reusing vectors keeps what they have allocated.
template <typename Element>
void ensure_size(std::vector<Element> &vector, std::size_t size, Element fill) {
    if (vector.size() < size)
        vector.resize(size, fill);
}

}  // namespace

// ---- inputs --------------------------------------------------------------------------------

BatchInput::BatchInput(Node *expression, PlanState *node)
    : expression_(expression), column_(0), constant_(IsA(expression, Const)), state_(nullptr) {
    if (IsA(expression, Var) && reinterpret_cast<Var *>(expression)->varno == OUTER_VAR)
        column_ = reinterpret_cast<Var *>(expression)->varattno;
    if (constant_) {
        auto *constant = reinterpret_cast<Const *>(expression);
        value_ = {constant->constvalue, constant->constisnull};
    } else if (column_ <= 0) {
        state_ = server_call([&] { return ExecInitExpr(reinterpret_cast<Expr *>(expression), node); });
    }
}

const NullableDatum &BatchInput::value(ExprContext *context, int row) {
    if (constant_ || row_ == row)
        return value_;
    if (column_ > 0)
        value_.value = slot_getattr(context->ecxt_outertuple, column_, &value_.isnull);
    else
        server_call([&] { value_.value = ExecEvalExprSwitchContext(state_, context, &value_.isnull); });
    row_ = row;
    return value_;
}

// ---- models --------------------------------------------------------------------------------

const Model &BatchModels::find(const NullableDatum *name, ModelNaming naming) {
    if (naming == ModelNaming::version)
        return find_by_id(DatumGetInt64(name->value));
    const std::string_view text = name ? text_view(name->value) : std::string_view();
    for (const Named &known : models_)
        if (known.is_named == (name != nullptr) && known.name == text)
            return *known.model;
    std::string copy(text);
    ModelPointer model = find_model(name ? copy.c_str() : nullptr);
    models_.push_back({name != nullptr, std::move(copy), std::move(model)});
    return *models_.back().model;
}

const Model &BatchModels::find_by_id(int64 version) {
    auto found = versions_.find(version);
    if (found == versions_.end())
        found = versions_.emplace(version, find_version(version)).first;
    return *found->second;
}

// ---- places --------------------------------------------------------------------------------

void BatchPlace::begin_batch() {
    used_ = 0;
    row_ = -1;
}

const BatchPlace::Entry &BatchPlace::enter(ExprContext *context, int row, BatchModels &models, OnError on_error) {
    if (row_ == row)
        return entry_;
    LonLat location{0, 0};
    entry_ = {-1, 0};
    if (location_ != nullptr) {
        const Datum value = location_->value(context, row).value;
        switch (read_location(value, location)) {
            case LocationState::empty: row_ = row; return entry_;
            case LocationState::read: break;
            case LocationState::in_another_srid:
                if (on_error == OnError::ask)
                    throw ProtectionNeeded{};
                location = *location_from_datum(value);
        }
    }
    const Model &model = models.find(model_ ? &model_->value(context, row) : nullptr, naming_);
    if (location_ != nullptr && model.config().dates != (date_ != nullptr))
        leave_to_function();
    const float date = date_ ? part_of_year(DatumGetTimestampTz(date_->value(context, row).value)) : 0;
    entry_ = add(model, &location.lon, date);
    row_ = row;
    return entry_;
}

BatchPlace::Entry BatchPlace::add(const Model &model, const double *lonlat, float date) {
    std::size_t number = 0;
    while (number < used_ && groups_[number].model != &model)
        ++number;
    if (number == used_) {
        if (used_ == groups_.size())
            groups_.emplace_back();
        ++used_;
        BatchGroup &fresh = groups_[number];
        fresh.model = &model;
        fresh.size = 0;
        fresh.lonlat.clear();
        fresh.dates.clear();
    }
    BatchGroup &group = groups_[number];
    if (location_ != nullptr)
        group.lonlat.insert(group.lonlat.end(), {lonlat[0], lonlat[1]});
    if (date_ != nullptr)
        group.dates.push_back(date);
    return {static_cast<int>(number), group.size++};
}

void BatchPlace::embed() {
    if (location_ == nullptr)
        return;
    for (std::size_t number = 0; number < used_; ++number) {
        BatchGroup &group = groups_[number];
        group.embeddings.reserve(group.size, group.model->config().embedding_dim);
        in_slices(group.size, [&](std::size_t first, std::size_t count) {
            group.model->embed(group.lonlat.data() + 2 * first, date_ ? group.dates.data() + first : nullptr, count,
                               group.embeddings.elements(first), group.embeddings.stride());
        });
    }
}

std::size_t BatchPlace::row_memory() const {
    std::size_t bytes = 0;
    for (std::size_t number = 0; number < used_; ++number)
        bytes = std::max(bytes, groups_[number].embeddings.row_memory());
    return bytes;
}

// ---- calls ---------------------------------------------------------------------------------

BatchCall::BatchCall(const BatchFunction &function, BatchPlace *place, BatchPlace *nowhere, BatchInput *guard,
                     std::vector<BatchInput *> arguments)
    : function_(function), place_(place), nowhere_(nowhere), guard_(guard), arguments_(std::move(arguments)) {}

void BatchCall::begin_batch(int rows) {
    values_.assign(rows, NullableDatum{Datum(0), true});
    for (auto *groups : {&operands_, &nowhere_operands_})
        for (Operands &operands : *groups)
            operands.rows.clear();
}

bool BatchCall::is_asked_for(ExprContext *context, int row) const {
    if (guard_ == nullptr)
        return true;
    const NullableDatum &holds = guard_->value(context, row);
    return !holds.isnull && DatumGetBool(holds.value);
}

void BatchCall::take(ExprContext *context, int row, BatchModels &models, OnError on_error) {
    if (!is_asked_for(context, row))
        return;
    if (!function_.strict)
        return take_fused(context, row, models, on_error);
    for (BatchInput *argument : arguments_)
        if (argument->value(context, row).isnull)
            return;
    const BatchPlace::Entry entry = place_->enter(context, row, models, on_error);
    if (entry.group >= 0)
        take_into(operands_, *place_, entry, context, row);
}

bool BatchCall::is_null(int argument, ExprContext *context, int row) const {
    return argument >= 0 && arguments_[argument]->value(context, row).isnull;
}

// Of an image and a place one may be missing.
void BatchCall::take_fused(ExprContext *context, int row, BatchModels &models, OnError on_error) {
    if (is_null(function_.model, context, row))
        return;
    if (!is_null(function_.location, context, row) && !is_null(function_.date, context, row)) {
        const BatchPlace::Entry entry = place_->enter(context, row, models, on_error);
        if (entry.group >= 0)
            return take_into(operands_, *place_, entry, context, row);
    }
    if (is_null(function_.features, context, row))
        return;
    const BatchPlace::Entry entry = nowhere_->enter(context, row, models, on_error);
    if (function_.dated && !nowhere_->groups()[static_cast<std::size_t>(entry.group)].model->config().dates)
        leave_to_function();
    take_into(nowhere_operands_, *nowhere_, entry, context, row);
}

void BatchCall::take_into(std::vector<Operands> &groups, const BatchPlace &place, const BatchPlace::Entry &entry,
                          ExprContext *context, int row) {
    const auto number = static_cast<std::size_t>(entry.group);
    if (number >= groups.size())
        groups.resize(number + 1);
    Operands &operands = groups[number];
    take_operands(context, row, *place.groups()[number].model, operands, entry.index);
    ensure_size(operands.rows, entry.index + 1, -1);
    operands.rows[entry.index] = row;
}

void BatchCall::take_operands(ExprContext *context, int row, const Model &model, Operands &operands,
                              std::size_t index) {
    const ModelConfig &config = model.config();
    const bool decodes_locations = config.image_side == ImageSide::location_decoder;
    switch (function_.kind) {
        case CallKind::embed: return;
        case CallKind::probabilities:
            if (config.class_count == 0)
                leave_to_function();
            return;
        case CallKind::probability: return take_class(context, row, model, operands, index);
        case CallKind::embed_image:
            if (!compares_images(config) || decodes_locations)
                leave_to_function();
            return take_features(context, row, config.image_dim, operands, index);
        case CallKind::similarity:
            if (!compares_images(config))
                leave_to_function();
            return take_features(context, row, config.image_dim, operands, index);
        case CallKind::image_probabilities:
            if (!config.image_classifier)
                leave_to_function();
            return take_features(context, row, config.image_dim, operands, index);
        case CallKind::fuse:
        case CallKind::fused:
            if (config.class_count == 0)
                leave_to_function();
            return take_image(context, row, model, operands, index);
        case CallKind::classify: leave_to_function();
    }
}

void BatchCall::take_image(ExprContext *context, int row, const Model &model, Operands &operands, std::size_t index) {
    const ModelConfig &config = model.config();
    const bool known = !is_null(function_.features, context, row);
    ensure_size(operands.has_image, index + 1, char(false));
    operands.has_image[index] = known;
    if (!known)
        return;
    if (function_.kind == CallKind::fuse)
        return take_probabilities(context, row, config.class_count, operands, index);
    if (!config.image_classifier)
        leave_to_function();
    take_features(context, row, config.image_dim, operands, index);
}

void BatchCall::take_class(ExprContext *context, int row, const Model &model, Operands &operands, std::size_t index) {
    const std::string_view label = text_view(arguments_[function_.label]->value(context, row).value);
    if (operands.rows.empty() || operands.label != label) {
        operands.label = label;
        operands.label_class = model.config().class_count > 0 ? model.class_index(operands.label) : -1;
    }
    if (operands.label_class < 0)
        leave_to_function();
    ensure_size(operands.classes, index + 1, 0);
    operands.classes[index] = operands.label_class;
}

void BatchCall::take_features(ExprContext *context, int row, int width, Operands &operands, std::size_t index) {
    const FeatureSpan features =
        features_from_datum(arguments_[function_.features]->value(context, row).value, width);
    operands.width = width;
    ensure_size(operands.features, (index + 1) * width, 0.0f);
    std::copy_n(features.values, width, operands.features.data() + index * width);
}

void BatchCall::take_probabilities(ExprContext *context, int row, int width, Operands &operands, std::size_t index) {
    const float *image = probabilities_from_datum(arguments_[function_.features]->value(context, row).value, width);
    if (std::all_of(image, image + width, [](float p) { return p == 0; }))
        leave_to_function();
    operands.width = width;
    ensure_size(operands.features, (index + 1) * width, 0.0f);
    std::copy_n(image, width, operands.features.data() + index * width);
}

void BatchCall::compute(std::vector<char> &marked) {
    marked_ = &marked;
    for (std::size_t number = 0; number < place_->group_count() && number < operands_.size(); ++number)
        if (!operands_[number].rows.empty())
            compute_group(place_->groups()[number], operands_[number]);
    for (std::size_t number = 0; number < nowhere_->group_count() && number < nowhere_operands_.size(); ++number)
        if (!nowhere_operands_[number].rows.empty())
            fuse_group(nowhere_->groups()[number], nowhere_operands_[number], false);
}

void BatchCall::set_arrays(const Operands &operands, const ArrayRows &arrays) {
    for (std::size_t index = 0; index < operands.rows.size(); ++index)
        if (operands.rows[index] >= 0)
            values_[operands.rows[index]] = {PointerGetDatum(arrays.array(index)), false};
}

void BatchCall::set_numbers(const Operands &operands) {
    for (std::size_t index = 0; index < operands.rows.size(); ++index)
        if (operands.rows[index] >= 0)
            values_[operands.rows[index]] = {Float4GetDatum(operands.numbers[index]), false};
}

// Rows about whose features the function itself says that they are too large: width floats of each array tell.
void BatchCall::mark_overflows(const Operands &operands, std::size_t width) {
    for (std::size_t index = 0; index < operands.rows.size(); ++index)
        if (operands.rows[index] >= 0 && !is_finite_answer(operands.arrays.elements(index), width))
            mark(operands.rows[index]);
}

void BatchCall::compute_group(const BatchGroup &group, Operands &operands) {
    const Model &model = *group.model;
    const ModelConfig &config = model.config();
    const ArrayRows &embeddings = group.embeddings;
    ArrayRows &arrays = operands.arrays;
    const std::size_t count = operands.rows.size();
    switch (function_.kind) {
        case CallKind::embed: return set_arrays(operands, embeddings);
        case CallKind::embed_image:
            ensure_size(operands.features, count * config.image_dim, 0.0f);
            arrays.reserve(count, config.embedding_dim);
            in_slices(count, [&](std::size_t first, std::size_t rows) {
                model.embed_image(operands.features.data() + first * config.image_dim, rows, arrays.elements(first),
                                  arrays.stride());
            });
            mark_overflows(operands, config.embedding_dim);
            return set_arrays(operands, arrays);
        case CallKind::similarity:
            ensure_size(operands.features, count * config.image_dim, 0.0f);
            ensure_size(operands.numbers, count, 0.0f);
            in_slices(count, [&](std::size_t first, std::size_t rows) {
                model.similarities(embeddings.elements(first), embeddings.stride(),
                                   operands.features.data() + first * config.image_dim, rows,
                                   operands.numbers.data() + first);
            });
            for (std::size_t index = 0; index < count; ++index)
                if (operands.rows[index] >= 0 && !is_finite_answer(&operands.numbers[index], 1))
                    mark(operands.rows[index]);
            return set_numbers(operands);
        case CallKind::image_probabilities:
            ensure_size(operands.features, count * config.image_dim, 0.0f);
            arrays.reserve(count, config.class_count);
            in_slices(count, [&](std::size_t first, std::size_t rows) {
                model.image_probabilities(operands.features.data() + first * config.image_dim, rows,
                                          arrays.elements(first), arrays.stride());
            });
            mark_overflows(operands, 1);
            return set_arrays(operands, arrays);
        case CallKind::fuse:
        case CallKind::fused: return fuse_group(group, operands, true);
        case CallKind::probabilities:
            arrays.reserve(count, config.class_count);
            in_slices(count, [&](std::size_t first, std::size_t rows) {
                model.probabilities(embeddings.elements(first), embeddings.stride(), rows, arrays.elements(first),
                                    arrays.stride());
            });
            return set_arrays(operands, arrays);
        case CallKind::probability:
            ensure_size(operands.classes, count, 0);
            ensure_size(operands.numbers, count, 0.0f);
            in_slices(count, [&](std::size_t first, std::size_t rows) {
                model.probability(embeddings.elements(first), embeddings.stride(), operands.classes.data() + first,
                                  rows, operands.numbers.data() + first);
            });
            return set_numbers(operands);
        case CallKind::classify: return;
    }
}

// places: whether the rows of the group have places.
void BatchCall::fuse_group(const BatchGroup &group, Operands &operands, bool places) {
    const Model &model = *group.model;
    const std::size_t count = operands.rows.size();
    operands.arrays.reserve(count, model.config().class_count);
    in_slices(count, [&](std::size_t first, std::size_t rows) {
        if (places)
            model.probabilities(group.embeddings.elements(first), group.embeddings.stride(), rows,
                                operands.arrays.elements(first), operands.arrays.stride());
        fuse_rows(model, operands, first, rows, places);
    });
    set_arrays(operands, operands.arrays);
}

// The images of some rows, by their probabilities or by their features, with the places that the arrays hold.
void BatchCall::fuse_rows(const Model &model, Operands &operands, std::size_t first, std::size_t rows, bool places) {
    const ModelConfig &config = model.config();
    const auto classes = static_cast<std::size_t>(config.class_count);
    const auto begin = operands.has_image.begin() + static_cast<std::ptrdiff_t>(first);
    const bool images = std::find(begin, begin + static_cast<std::ptrdiff_t>(rows), char(true)) !=
                        begin + static_cast<std::ptrdiff_t>(rows);
    const float *image = nullptr;
    if (images && function_.kind == CallKind::fuse) {
        ensure_size(operands.features, (first + rows) * classes, 0.0f);
        image = operands.features.data() + first * classes;
    } else if (images) {
        ensure_size(operands.features, (first + rows) * config.image_dim, 0.0f);
        ensure_size(operands.numbers, rows * classes, 0.0f);
        model.image_probabilities(operands.features.data() + first * config.image_dim, rows, operands.numbers.data(),
                                  classes);
        image = operands.numbers.data();
    }
    for (std::size_t i = 0; i < rows; ++i) {
        if (operands.rows[first + i] < 0)
            continue;
        float *row = operands.arrays.elements(first + i);
        const float *of_image = operands.has_image[first + i] ? image + i * classes : nullptr;
        if (of_image != nullptr && !is_finite_answer(of_image, 1)) {
            mark(operands.rows[first + i]);
            continue;
        }
        fuse_known(of_image, places ? row : nullptr, pooling_of(config), classes, row);
    }
}

std::size_t BatchCall::row_memory() const {
    std::size_t bytes = sizeof(NullableDatum);
    for (const auto *groups : {&operands_, &nowhere_operands_})
        for (const Operands &operands : *groups)
            if (!operands.rows.empty())
                bytes = std::max(bytes, operands.arrays.row_memory() + operands.width * sizeof(float));
    return bytes;
}

// ---- all calls of a node -------------------------------------------------------------------

namespace {

void require_execute_privilege(Oid function) {
    const AclResult result = execute_privilege(function);
    if (result != ACLCHECK_OK)
        aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
    InvokeFunctionExecuteHook(function);
}

bool add_parameters(Node *node, void *context) {
    if (node == nullptr)
        return false;
    auto **parameters = static_cast<Bitmapset **>(context);
    if (IsA(node, Param) && reinterpret_cast<Param *>(node)->paramkind == PARAM_EXEC)
        *parameters = bms_add_member(*parameters, reinterpret_cast<Param *>(node)->paramid);
    return walk_expression(node, add_parameters, context);
}

}  // namespace

BatchCalls *BatchCalls::make(MemoryContext memory, const List *columns, const List *guards, PlanState *node,
                             bool chooses) {
    auto *callback = server_call([memory] {
        return static_cast<MemoryContextCallback *>(MemoryContextAllocZero(memory, sizeof(MemoryContextCallback)));
    });
    void *space = server_call([memory] { return MemoryContextAlloc(memory, sizeof(BatchCalls)); });
    auto *calls = new (space) BatchCalls();
    callback->func = [](void *argument) { static_cast<BatchCalls *>(argument)->~BatchCalls(); };
    callback->arg = calls;
    MemoryContextRegisterResetCallback(memory, callback);

    calls->node_ = node;
    calls->guards_can_fail_ = chooses;
    const ListCell *column, *guard;
    forboth (column, columns, guard, guards)
        calls->add(reinterpret_cast<FuncExpr *>(static_cast<TargetEntry *>(lfirst(column))->expr),
                   static_cast<Node *>(lfirst(guard)), node);
    return calls;
}

void BatchCalls::add(const FuncExpr *call, Node *guard, PlanState *node) {
    BatchFunction function;
    server_call([&] {
        require_execute_privilege(call->funcid);
        if (!find_batch_function(call->funcid, &function))
            elog(ERROR, "function %u is not one that CspBatch evaluates", call->funcid);
    });
    std::vector<BatchInput *> arguments;
    const ListCell *cell;
    foreach (cell, call->args)
        arguments.push_back(input(static_cast<Node *>(lfirst(cell)), node));
    const auto argument = [&](int number) { return number < 0 ? nullptr : arguments[number]; };
    unnamed_ = unnamed_ || function.model < 0;
    BatchInput *condition = nullptr;
    if (!IsA(guard, Const)) {
        condition = input(guard, node);
        guards_can_fail_ = guards_can_fail_ || server_call([guard] { return contain_leaked_vars(guard); });
    }
    const ModelNaming naming = function.by_version ? ModelNaming::version : ModelNaming::name;
    BatchInput *model = argument(function.model);
    calls_.emplace_back(function, place(argument(function.location), argument(function.date), model, naming),
                        place(nullptr, nullptr, model, naming), condition, std::move(arguments));
}

BatchInput *BatchCalls::input(Node *expression, PlanState *node) {
    for (const auto &known : inputs_)
        if (equal(known->expression(), expression))
            return known.get();
    inputs_.push_back(std::make_unique<BatchInput>(expression, node));
    BatchInput *added = inputs_.back().get();
    protect_ = protect_ || (!added->is_harmless() && !IsA(expression, Param));
    server_call([&] { add_parameters(expression, &parameters_); });
    return added;
}

// Inputs of another type are other inputs: a name and an id never share a place.
BatchPlace *BatchCalls::place(BatchInput *location, BatchInput *date, BatchInput *model, ModelNaming naming) {
    for (const auto &known : places_)
        if (known->is(location, date, model))
            return known.get();
    places_.push_back(std::make_unique<BatchPlace>(location, date, model, naming));
    return places_.back().get();
}

void BatchCalls::evaluate(const MinimalTuple *rows, int count, TupleTableSlot *slot) {
    MemoryContext old = MemoryContextSwitchTo(node_->ps_ExprContext->ecxt_per_tuple_memory);
    begin_batch(count);
    user_ = GetUserId();
    setting_ = csp_model_setting ? csp_model_setting : "";
    setting_changes_ = model_setting_changes();
    take_all(rows, count, slot);
    compute();
    MemoryContextSwitchTo(old);
}

// A single row that might fail gains nothing here, so it is left to the plain way, where things go wrong in their order.
// More are read ahead, under the protection of a subtransaction where they need it. In a parallel query there are none;
// its workers read ahead of what is asked for in any case. Only guards stand for what may never be evaluated: there they
// leave all to the plain way.
void BatchCalls::take_all(const MinimalTuple *rows, int count, TupleTableSlot *slot) {
    if (count == 1) {
        take_single_row(rows, slot);
        return;
    }
    if (IsInParallelMode() && guards_can_fail_) {
        marked_.assign(count, true);
        return;
    }
    if (IsInParallelMode()) {
        take_rows(rows, count, slot, OnError::raise);
        return;
    }
    const int taken = protect_ ? 0 : take_rows(rows, count, slot, OnError::ask);
    if (taken < count)
        take_protected(rows, taken, count, slot);
}

void BatchCalls::take_single_row(const MinimalTuple *rows, TupleTableSlot *slot) {
    if (protect_ || take_rows(rows, 1, slot, OnError::ask) == 0)
        marked_[0] = true;
}

// A cursor may be read on by another role, or with another csp.model, than when its rows were read ahead.
bool BatchCalls::are_current() {
    if (user_ != GetUserId())
        return false;
    if (!unnamed_ || setting_changes_ == model_setting_changes())
        return true;
    if (setting_ != (csp_model_setting ? csp_model_setting : ""))
        return false;
    setting_changes_ = model_setting_changes();  // there and back again
    return true;
}

bool BatchCalls::wait_for_subquery() const {
    for (int parameter = -1; (parameter = bms_next_member(parameters_, parameter)) >= 0;)
        if (node_->ps_ExprContext->ecxt_param_exec_vals[parameter].execPlan != nullptr)
            return true;
    return false;
}

void BatchCalls::begin_batch(int count) {
    marked_.assign(count, false);
    models_.forget();
    for (const auto &input : inputs_)
        input->forget();
    for (const auto &place : places_)
        place->begin_batch();
    for (BatchCall &call : calls_)
        call.begin_batch(count);
}

void BatchCalls::take_row(const MinimalTuple *rows, int row, TupleTableSlot *slot, OnError on_error) {
    if (row % slice == 0)
        check_for_interrupts();
    ExprContext *context = node_->ps_ExprContext;
    ExecStoreMinimalTuple(rows[row], slot, false);
    ResetExprContext(context);
    context->ecxt_outertuple = slot;
    try {
        for (BatchCall &call : calls_)
            call.take(context, row, models_, on_error);
    } catch (const AbortingError &) {
        throw;
    } catch (const Error &) {
        marked_[row] = true;
    }
}

// Returns the first row that was not taken, because it needs protection.
int BatchCalls::take_rows(const MinimalTuple *rows, int count, TupleTableSlot *slot, OnError on_error) {
    for (int row = 0; row < count; ++row) {
        try {
            take_row(rows, row, slot, on_error);
        } catch (const ProtectionNeeded &) {
            protect_ = true;
            return row;
        }
    }
    return count;
}

// In subtransactions: an error of the server ends one and marks the row.
void BatchCalls::take_protected(const MinimalTuple *rows, int first, int count, TupleTableSlot *slot) {
    while (first < count)
        first = take_until_error(rows, first, count, slot);
}

namespace {

// A subtransaction within the execution of a plan.
class Subtransaction {
public:
    Subtransaction() : memory_(CurrentMemoryContext), owner_(CurrentResourceOwner) {
        server_call([this] {
            BeginInternalSubTransaction(nullptr);
            MemoryContextSwitchTo(memory_);
        });
    }
    void commit() { end(ReleaseCurrentSubTransaction); }
    void roll_back() { end(RollbackAndReleaseCurrentSubTransaction); }

private:
    void end(void (*how)()) {
        server_call([&] {
            how();
            MemoryContextSwitchTo(memory_);
            CurrentResourceOwner = owner_;
        });
    }

    MemoryContext memory_;
    ResourceOwner owner_;
};

}  // namespace

// Returns the row to go on with.
int BatchCalls::take_until_error(const MinimalTuple *rows, int first, int count, TupleTableSlot *slot) {
    int row = first;
    Subtransaction subtransaction;
    try {
        for (; row < count; ++row)
            take_row(rows, row, slot, OnError::mark);
        subtransaction.commit();
        return count;
    } catch (const ServerError &error) {
        subtransaction.roll_back();
        if (!error.concerns_data())
            throw;
    } catch (const AbortingError &) {
        subtransaction.roll_back();
    }
    marked_[row] = true;
    return row + 1;
}

void BatchCalls::compute() {
    instr_time started, ended;
    INSTR_TIME_SET_CURRENT(started);
    row_memory_ = 0;
    for (const auto &place : places_) {
        place->embed();
        row_memory_ += place->row_memory();
    }
    for (BatchCall &call : calls_) {
        call.compute(marked_);
        row_memory_ += call.row_memory();
    }
    INSTR_TIME_SET_CURRENT(ended);
    INSTR_TIME_SUBTRACT(ended, started);
    milliseconds_ += INSTR_TIME_GET_MILLISEC(ended);
}

}  // namespace csp::server
