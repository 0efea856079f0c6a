/* The Page object, for module.c. */
#ifndef MH_MODULE_PAGE_H
#define MH_MODULE_PAGE_H

#include "module.h"

extern PyType_Spec mh_page_spec;

#endif
