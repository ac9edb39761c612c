#include "stages/export/layer_orders.h"

#include "io/file/run_paths.h"
#include "io/model/free_channels.h"

#include <stdlib.h>
#include <string.h>

void layer_orders_free(struct layer_orders *orders)
{
    for (size_t i = 0; i < orders->count; i++) {
        free(orders->tensors[i].columns);
        free(orders->tensors[i].places);
    }
    free(orders->tensors);
    *orders = (struct layer_orders){0};
}

// The order of a linear's columns, if the file has one.
static enum status read_columns(struct tensor_order *order, const struct layer_tensor *tensor,
                                const struct store_reader *masks, struct error *err)
{
    bool is_there;
    char name[DATASET_PATH_SIZE];

    dataset_path(name, tensor->linear, DATASET_ORDER);
    FORWARD_IF_ERROR(store_find(masks, name, &is_there, err));
    if (!is_there)
        return STATUS_OK;
    FORWARD_IF_ERROR(
        allocate(&order->columns, tensor->in, sizeof *order->columns, "an order of channels", err));
    FORWARD_IF_ERROR(store_read(masks, name, STORE_U32, 0, tensor->in, order->columns, err));
    for (size_t k = 0; k < tensor->in; k++)
        RETURN_ERROR_IF(order->columns[k] >= tensor->in, err, STATUS_DAMAGED, "%s: column %u of %zu columns",
                        name, order->columns[k], tensor->in);
    return STATUS_OK;
}

// The places of the rows that follow the columns of another linear.
static enum status follow(struct tensor_order *order, const struct layer_tensor *tensor,
                          const uint32_t *columns, const struct decoder_config *config, struct error *err)
{
    uint32_t *rows = NULL;
    enum status status = allocate(&rows, tensor->out, sizeof *rows, "an order of channels", err);

    if (status == STATUS_OK)
        status = allocate(&order->places, tensor->out, sizeof *order->places, "an order of channels", err);
    if (status == STATUS_OK) {
        free_rows_order(rows, tensor, columns, config);
        for (size_t k = 0; k < tensor->out; k++)
            order->places[rows[k]] = (uint32_t)k;
    }
    free(rows);
    return status;
}

enum status layer_orders_read(struct layer_orders *orders, const struct stage *stage,
                              const struct variant *variant, const struct layer_map *map,
                              const struct store_reader *masks, struct error *err)
{
    *orders = (struct layer_orders){0};
    FORWARD_IF_ERROR(
        allocate(&orders->tensors, map->num_tensors, sizeof *orders->tensors, "orders of channels", err));
    orders->count = map->num_tensors;
    for (size_t i = 0; i < map->num_tensors && variant->permute; i++)
        if (tensor_is_pruned(stage->settings, map->layer, &map->tensors[i]))
            FORWARD_IF_ERROR(read_columns(&orders->tensors[i], &map->tensors[i], masks, err));
    for (size_t i = 0; i < map->num_tensors && variant->permute; i++) {
        const struct layer_tensor *reader = free_rows_reader(map, &map->tensors[i]);
        const uint32_t *columns = reader != NULL ? orders->tensors[reader - map->tensors].columns : NULL;
        if (columns != NULL)
            FORWARD_IF_ERROR(
                follow(&orders->tensors[i], &map->tensors[i], columns, &stage->model->config.decoder, err));
    }
    return STATUS_OK;
}

const struct tensor_order *order_of_tensor(const struct layer_orders *orders, const struct layer_map *map,
                                           const struct layer_tensor *tensor)
{
    return &orders->tensors[tensor - map->tensors];
}

const struct tensor_order *order_of_bias(const struct layer_orders *orders, const struct layer_map *map,
                                         const char *linear)
{
    static const struct tensor_order none;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (strcmp(map->tensors[i].linear, linear) == 0)
            return order_of_tensor(orders, map, layer_map_bias(&map->tensors[i]));
    return &none;
}

bool tensor_may_move(const struct variant *variant, const struct layer_tensor *tensor)
{
    return variant->permute && tensor->role != ROLE_NONE;
}

bool tensor_moves(const struct tensor_order *order)
{
    return order->columns != NULL || order->places != NULL;
}

const void *exported_row(const struct tensor_order *order, void *room, const void *row, size_t in,
                         size_t element)
{
    if (order->columns == NULL)
        return row;
    for (size_t k = 0; k < in; k++)
        memcpy((char *)room + k * element, (const char *)row + order->columns[k] * element, element);
    return room;
}

size_t exported_place(const struct tensor_order *order, size_t i)
{
    return order->places != NULL ? order->places[i] : i;
}

void exported_vector(const struct tensor_order *order, void *target, const void *values, size_t out,
                     size_t element)
{
    for (size_t i = 0; i < out; i++)
        memcpy((char *)target + exported_place(order, i) * element, (const char *)values + i * element,
               element);
}
