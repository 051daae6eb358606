/* etcdserverpb.Auth, as a store answers that has no users, no roles, and whose
 * authentication is off: names are not found, lists are empty, and what would
 * make a user or a role is refused, since nothing would keep it. */

#include "api/internal.h"
#include "proto/kv_response.h"
#include "proto/rpc.pb-c.h"
#include "proto/wire.h"

static void answer_header(struct api_call *c)
{
    kv_response_header(api_begin(c), &api_fresh_status(c->api)->header);
}

void api_auth_enable(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__auth_enable_request__descriptor,
                   message) != NULL) {
        api_fail(c, API_NO_ROOT_USER);
    }
}

/* It is off: that is what was asked for. */
void api_auth_disable(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__auth_disable_request__descriptor,
                   message) != NULL) {
        answer_header(c);
        api_send_end(c);
    }
}

void api_auth_status(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__auth_status_request__descriptor,
                   message) == NULL) {
        return;
    }
    struct buf *b = api_begin(c);
    kv_response_header(b, &api_fresh_status(c->api)->header);
    wire_add_number(b, 3, 1); /* the first revision of the roles */
    api_send_end(c);
}

void api_authenticate(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__authenticate_request__descriptor,
                   message) != NULL) {
        api_fail(c, API_AUTH_NOT_ENABLED);
    }
}

void api_user_add(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__AuthUserAddRequest *q = api_unpack(
        c, &etcdserverpb__auth_user_add_request__descriptor, message);
    if (q != NULL) {
        api_fail(c, q->name[0] == '\0' ? API_USER_EMPTY : API_NO_USERS_HERE);
    }
}

void api_role_add(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__AuthRoleAddRequest *q = api_unpack(
        c, &etcdserverpb__auth_role_add_request__descriptor, message);
    if (q != NULL) {
        api_fail(c, q->name[0] == '\0' ? API_ROLE_EMPTY : API_NO_USERS_HERE);
    }
}

/* What is asked about a user, or a role, that cannot be there. */
#define NOT_THERE(function, descriptor, error)                                 \
    void function(struct api_call *c, struct bytes message)                    \
    {                                                                          \
        if (api_unpack(c, &descriptor, message) != NULL) {                     \
            api_fail(c, error);                                                \
        }                                                                      \
    }

NOT_THERE(api_user_get, etcdserverpb__auth_user_get_request__descriptor,
          API_USER_NOT_FOUND)
NOT_THERE(api_user_delete, etcdserverpb__auth_user_delete_request__descriptor,
          API_USER_NOT_FOUND)
NOT_THERE(api_user_change_password,
          etcdserverpb__auth_user_change_password_request__descriptor,
          API_USER_NOT_FOUND)
NOT_THERE(api_user_grant_role,
          etcdserverpb__auth_user_grant_role_request__descriptor,
          API_USER_NOT_FOUND)
NOT_THERE(api_user_revoke_role,
          etcdserverpb__auth_user_revoke_role_request__descriptor,
          API_USER_NOT_FOUND)
NOT_THERE(api_role_get, etcdserverpb__auth_role_get_request__descriptor,
          API_ROLE_NOT_FOUND)
NOT_THERE(api_role_delete, etcdserverpb__auth_role_delete_request__descriptor,
          API_ROLE_NOT_FOUND)
NOT_THERE(api_role_revoke_permission,
          etcdserverpb__auth_role_revoke_permission_request__descriptor,
          API_ROLE_NOT_FOUND)

void api_role_grant_permission(struct api_call *c, struct bytes message)
{
    const Etcdserverpb__AuthRoleGrantPermissionRequest *q = api_unpack(
        c, &etcdserverpb__auth_role_grant_permission_request__descriptor,
        message);
    if (q != NULL) {
        api_fail(c, q->perm == NULL ? API_NO_PERMISSION_GIVEN
                                    : API_ROLE_NOT_FOUND);
    }
}

void api_user_list(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__auth_user_list_request__descriptor,
                   message) != NULL) {
        answer_header(c);
        api_send_end(c);
    }
}

void api_role_list(struct api_call *c, struct bytes message)
{
    if (api_unpack(c, &etcdserverpb__auth_role_list_request__descriptor,
                   message) != NULL) {
        answer_header(c);
        api_send_end(c);
    }
}
