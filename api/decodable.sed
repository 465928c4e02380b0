# SPDX-License-Identifier: Apache-2.0
# Has the API server refuse what our types cannot decode: one such object would keep every client from reading the others.
# Times as Go reads them; the format alone lets a lower-case t through, and a second of 60.
/^ *format: date-time$/{
N
/\n *pattern: /!s/^( *)format: date-time\n/\1format: date-time\n\1pattern: ^\\d{4}-\\d{2}-\\d{2}T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$\n/
}
# Numbers of IntOrString are of 32 bits.
s/^( *)x-kubernetes-int-or-string: true$/\1maximum: 2147483647\n\1minimum: -2147483648\n&/
