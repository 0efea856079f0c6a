/* A view of the store's text for Python: what a memoryview is made of. It pins the text for as long as the view lives. */
#include "module.h"

typedef struct {
    PyObject_HEAD
    StoreObject *owner;
    const uint8_t *text;
    uint64_t bytes;
} TextObject;

static void text_dealloc(PyObject *object) {
    TextObject *self = (TextObject *)object;
    ms_let_go(self->owner);
    Py_DECREF(self->owner);
    ms_free(object);
}

static int text_getbuffer(PyObject *object, Py_buffer *view, int flags) {
    TextObject *self = (TextObject *)object;
    return PyBuffer_FillInfo(view, object, (void *)(uintptr_t)self->text, (Py_ssize_t)self->bytes, 1, flags);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "Text of a store; only memoryviews of it are seen."},
    {Py_tp_dealloc, text_dealloc},
    {Py_bf_getbuffer, text_getbuffer},
    {0, NULL},
};

PyType_Spec ms_text_spec = {
    .name = "manyhands._search.Text",
    .basicsize = sizeof(TextObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

PyObject *ms_text_view(StoreObject *owner, const uint8_t *text, uint64_t bytes) {
    TextObject *self = ms_new(ms_TextType);
    if (self == NULL) return NULL;
    self->owner = (StoreObject *)Py_NewRef((PyObject *)owner);
    self->text = text;
    self->bytes = bytes;
    ms_store_pin(&owner->store);
    PyObject *view = PyMemoryView_FromObject((PyObject *)self);
    Py_DECREF(self);
    return view;
}
