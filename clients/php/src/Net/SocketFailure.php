<?php

declare(strict_types=1);

namespace Tagcast\Client\Net;

/** How a socket failed. */
enum SocketFailure: string
{
    /** There is no connection: nothing was sent. */
    case Connect = 'connect_failed';

    /** The peer closed the connection. */
    case Lost = 'connection_lost';

    /** The time was over. */
    case Timeout = 'timeout';
}
