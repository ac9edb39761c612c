// work.h - how many floating-point operations the stages spend: every term, once.
//
// In: shapes. Out: operations. The stages report their progress in these terms, the plan adds them up to the
// work of a unit, the estimate divides them by the rates of a machine.
#pragma once
#include "io/model/layer_map.h"
#include "stages/settings.h"

// Of one sequence of `tokens` through a layer; of experts those that a token is routed to.
double layer_forward_work(const struct model *model, const struct layer_map *map, size_t tokens);
// Of one sequence through a layer until the linears of a source see their input.
double source_forward_work(const struct model *model, const struct layer_map *map, size_t source,
                           size_t tokens);
// The share of the tokens that one expert of a mixture-of-experts layer sees, if all see as many.
double routed_share(const struct decoder_config *config);
// Of one sequence through one linear of a layer; of an expert the tokens that are routed to it.
double product_work(const struct model *model, const struct layer_tensor *tensor, size_t tokens);
// From `tokens` hidden states to their logits.
double lm_head_work(const struct model *model, double tokens);

// `weights` weights from their statistics to one mask.
double score_work(double weights);
// `weights` weights through energy compensation, by columns and by rows.
double compensate_work(double weights);

// sparsegpt: the Hessian of an input with so many channels, gathered from `tokens` tokens; its factor; and
// the correction of the weights to the right of each pruned one in a matrix [out, in].
double hessian_work(double tokens, double channels);
double factor_work(double channels);
double correct_work(double out, double in);

// Least squares: the products G of a source's channels over `tokens` tokens, with two streams also C
// (stages/layer/gram.h).
double gram_work(double tokens, double channels, bool two_streams);

// An order of channels: a round's gains of `groups` channels in as many groups, over so many rows; and their
// assignment, by experience.
double order_gains_work(double rows, double groups);
double order_exchange_work(double groups);

// The least-squares solution of a linear [out, in] (stages/compensate/solve.h): its targets, and a product
// with the equations for each step and the last residual.
double solve_work(double out, double in);

// admm and alps: one step of a linear [out, in], and how many a method takes; of alps it is what is usual.
double split_step_work(double out, double in);
double split_steps(enum method method);
// An inverse of the equations of an input, and how many a method needs.
double inverse_work(double channels);
double split_inverses(enum method method);
