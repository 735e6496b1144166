<?php

declare(strict_types=1);

namespace Tagcast\Client;

/** When the server answers a publication. */
enum Ack: string
{
    /** At once: the server holds the publication. The report has no counts. */
    case None = 'none';

    /** When every worker with recipients has the publication. The report has `matched` and `workers`. */
    case Accepted = 'accepted';

    /** When every recipient's socket is accounted for, or the time is over. The report has all counts. */
    case Written = 'written';
}
