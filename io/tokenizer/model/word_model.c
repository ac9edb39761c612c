#include "io/tokenizer/model/word_model.h"

#include "io/tokenizer/json.h"
#include "io/tokenizer/model/bpe.h"
#include "io/tokenizer/model/unigram.h"
#include "io/tokenizer/model/word_piece.h"
#include <stdlib.h>

struct word_model { // one of them
    struct bpe *bpe;
    struct unigram *unigram;
    struct word_piece *word_piece;
};

static enum status read_model(struct word_model *model, const json_t *value, struct error *err)
{
    struct slice type = {"BPE", 3};

    RETURN_ERROR_IF(!json_is_object(value), err, STATUS_INPUT, "must be an object");
    if (json_object_get(value, "type") != NULL)
        FORWARD_IF_ERROR(json_text_member(value, "type", &type, err));
    if (slice_is(type, "BPE"))
        return bpe_from_json(&model->bpe, value, err);
    if (slice_is(type, "Unigram"))
        return unigram_from_json(&model->unigram, value, err);
    if (slice_is(type, "WordPiece"))
        return word_piece_from_json(&model->word_piece, value, err);
    RETURN_ERROR(err, STATUS_INPUT, "type \"%s\" is not supported, only BPE, Unigram and WordPiece are",
                 type.bytes);
}

enum status word_model_from_json(struct word_model **out, const json_t *value, struct error *err)
{
    struct word_model *model;

    FORWARD_IF_ERROR(allocate(&model, 1, sizeof *model, "a tokenizer's model", err));
    const enum status status = read_model(model, value, err);
    if (status != STATUS_OK)
        word_model_free(model);
    else
        *out = model;
    return status;
}

void word_model_free(struct word_model *model)
{
    if (model == NULL)
        return;
    bpe_free(model->bpe);
    unigram_free(model->unigram);
    word_piece_free(model->word_piece);
    free(model);
}

const struct vocabulary *word_model_vocabulary(const struct word_model *model)
{
    return model->bpe != NULL       ? bpe_vocabulary(model->bpe)
           : model->unigram != NULL ? unigram_vocabulary(model->unigram)
                                    : word_piece_vocabulary(model->word_piece);
}

enum status word_model_encode(struct word_model *model, const char *word, size_t size, struct ids *ids,
                              struct error *err)
{
    if (model->bpe != NULL)
        return bpe_encode(model->bpe, word, size, ids, err);
    if (model->unigram != NULL)
        return unigram_encode(model->unigram, word, size, ids, err);
    return word_piece_encode(model->word_piece, word, size, ids, err);
}
